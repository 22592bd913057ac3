"""Real systems by name: a run makes as many as it drives at once."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from mpq_jax.config import PhysicsConfig
from mpq_jax.config.run_config import REAL_SYSTEMS
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.environments.adaptors.environment_system import (
    FETCH_PUSH,
    EnvironmentSystem,
    own_identity,
)
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
    guarded: bool = False  # failures are tried again, as those of one's own systems are


_MAKERS = {'mujoco': SystemMaker(make_native_systems, load_model)}
# Of somebody else's environments, 'kind' or 'kind:id': the module and the class that adapt them.
_ADAPTORS = {
    'gymnasium': ('gymnasium_environment', 'GymnasiumEnvironment'),
    'dm_control': ('dm_control_environment', 'DmControlEnvironment'),
    'playground': ('playground_environment', 'PlaygroundEnvironment'),
    f'gymnasium:{FETCH_PUSH}': ('fetch_environment', 'FetchPushEnvironment'),
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
    kind = name.partition(':')[0]
    return _adapted(name) if kind in _ADAPTORS else _MAKERS.get(name)


def _adapted(name: str) -> SystemMaker:
    """Few at once: each environment has a model of its own, and most hold Python's lock."""

    def make(task: Task, physics: PhysicsConfig, count: int) -> Sequence[RealSystem]:
        kind, colon, given = name.partition(':')
        identity = given if colon else own_identity(task, kind)
        module, adaptor = _ADAPTORS.get(f'{kind}:{identity}', _ADAPTORS[kind])
        adaptors = importlib.import_module(f'mpq_jax.environments.adaptors.{module}')
        environments = [getattr(adaptors, adaptor)(identity, name) for _ in range(count)]
        shadows = make_native_systems(task, physics, count)
        return [EnvironmentSystem(*each, name) for each in zip(environments, shadows, strict=True)]

    def check(task: Task, physics: PhysicsConfig) -> None:
        for system in make(task, physics, 1):
            system.reset(jax.random.key(0))
            system.close()  # type: ignore[attr-defined]

    return SystemMaker(make, check, most=24, guarded=True)
