"""Physics as pure functions: `make_simulator` picks the backend that a config names."""

import dataclasses

import jax
import mujoco
import numpy as np

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.equations_simulator import make_equations_simulator
from mpq_jax.dynamics.mujoco_model import load_model, physics_steps_per_control
from mpq_jax.dynamics.native_simulator import make_native_simulator
from mpq_jax.dynamics.simulator import Simulator, advancing
from mpq_jax.tasks import Task
from mpq_jax.tasks.check import check_task

_MOST_FREE = 8  # degrees of freedom: a seven-joint arm's step is 3164 operations


def _make_mjx_simulator(task: Task, physics: PhysicsConfig) -> Simulator:
    from mpq_jax.dynamics.mjx_simulator import make_mjx_simulator

    return make_mjx_simulator(task, physics)


_BACKENDS = {
    'mjx': _make_mjx_simulator,
    'mujoco': make_native_simulator,
    'equations': make_equations_simulator,
}


def make_simulator(task: Task, physics: PhysicsConfig | None = None) -> Simulator:
    """The simulator of a task; backend 'auto' is MJX where the task has an MJCF.

    Raises:
      TaskError: a function of the task that cannot be used (`check_task`), or a plant that the
        backend cannot simulate.
      ConfigError: a timestep that does not divide the task's control timestep.
    """
    check_task(task)
    physics = physics or PhysicsConfig()
    return advancing(_BACKENDS[_backend(task, physics)](task, physics))


def for_planner(task: Task, physics: PhysicsConfig) -> PhysicsConfig:
    """The physics that a planner is given where its config says 'auto'.

    On an accelerator MJX. On a CPU MJX for models of up to `_MOST_FREE` degrees of freedom in which
    nothing touches or limits anything, whose step can be written out number by number; native
    MuJoCo for the others. MJX where it is to run on Warp. Equations where a task has nothing else.

    Raises:
      TaskError: the MJCF cannot be loaded.
    """
    if physics.backend != 'auto' or task.mjcf is None or jax.default_backend() != 'cpu':
        return physics
    if physics.impl == 'warp':
        return dataclasses.replace(physics, backend='mjx')
    free = is_free(task, physics)
    return dataclasses.replace(physics, backend='mjx' if free else 'mujoco')


def is_free(task: Task, physics: PhysicsConfig) -> bool:
    """Whether an MJCF is small and nothing in it touches or limits anything.

    Raises:
      TaskError: the MJCF cannot be loaded.
    """
    model = load_model(task, physics)
    return model.nv <= _MOST_FREE and not _is_constrained(model)


def compiles_slowly(task: Task, physics: PhysicsConfig) -> bool:
    """Whether MJX takes a CPU from half a minute to minutes to compile, for one program.

    Measured on FetchPush and the drawer (9 and 8 degrees of freedom); ball in cup's 4 take seconds.
    A step of RK4 is four: Gymnasium's double pendulum, 3, takes from 23 s to 70 s.

    Raises:
      TaskError: the MJCF cannot be loaded.
    """
    if task.mjcf is None or jax.default_backend() != 'cpu':
        return False
    model = load_model(task, physics)
    stages = 4 if model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4 else 1
    return stages * model.nv >= _MOST_FREE and _is_constrained(model)


def _is_constrained(model: mujoco.MjModel) -> bool:
    """Whether a solver has anything to do: contacts, limits, dry friction, equalities."""
    off = model.opt.disableflags
    if off & mujoco.mjtDisableBit.mjDSBL_CONSTRAINT:
        return False
    touches = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
    contacts = (model.npair > 0 or touches.sum() > 1) and not (
        off & mujoco.mjtDisableBit.mjDSBL_CONTACT
    )
    others = [
        model.jnt_limited, model.tendon_limited, model.dof_frictionloss, model.tendon_frictionloss,
        model.eq_active0,
    ]  # fmt: skip
    return bool(contacts or any(np.any(each) for each in others))


def steps_per_control(task: Task, physics: PhysicsConfig) -> int:
    """Physics steps a control step of the task's simulator, without building it.

    Raises:
      TaskError, ConfigError: as `make_simulator`, of the MJCF and its timestep.
    """
    if _backend(task, physics) == 'equations':
        return 1
    return physics_steps_per_control(task, load_model(task, physics))


def _backend(task: Task, physics: PhysicsConfig) -> str:
    if physics.backend in ('auto', 'jax'):
        return 'equations' if task.mjcf is None else 'mjx'
    return physics.backend
