"""Real systems by name: a run makes as many as it drives at once."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mpq_jax.config import PhysicsConfig
from mpq_jax.config.run_config import REAL_SYSTEMS
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.environments.gymnasium_fetch import check_gymnasium, make_gymnasium_systems
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.tasks import Task


class SystemMaker(NamedTuple):
    """How real systems of one kind come to be."""

    # (task, the run's real_physics, count) -> so many, which can step in threads of their own
    make: Callable[[Task, PhysicsConfig, int], Sequence[RealSystem]]
    # Raises ConfigError or TaskError, before anything compiles, where none can be made.
    check: Callable[[Task, PhysicsConfig], Any] = lambda task, physics: None
    most: int = 512  # driven at once


_MAKERS = {
    'mujoco': SystemMaker(make_native_systems, load_model),
    'gymnasium': SystemMaker(  # an environment of Gymnasium-Robotics has meshes of its own
        lambda task, physics, count: make_gymnasium_systems(task, count),
        lambda task, physics: check_gymnasium(task),
        most=24,
    ),
}


def register_real_system(
    name: str,
    make: Callable[[Task, PhysicsConfig, int], Sequence[RealSystem]],
    check: Callable[[Task, PhysicsConfig], Any] = lambda task, physics: None,
    most: int = 512,
) -> None:
    """Makes real systems known as `real_system=name`, for this process.

    Args:
      name: any but 'simulated' and 'own'.
      make: (task, the run's real_physics, count) -> so many `RealSystem`s; called again where more
        are needed, each is driven from a thread of its own, and stopped where it has a `stop`.
      check: raises ConfigError where none can be made for a task; called before anything compiles.
      most: how many are driven at once: seeds, and episodes of an agent that does not learn.
    """
    _MAKERS[name] = SystemMaker(make, check, most)
    if name not in REAL_SYSTEMS:
        REAL_SYSTEMS.append(name)


def system_maker(name: str) -> SystemMaker | None:
    """None for those that nobody makes here: 'simulated', and 'own'."""
    return _MAKERS.get(name)
