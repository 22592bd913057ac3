"""Physics as pure functions: `make_simulator` picks the backend that a config names."""

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.equations_simulator import make_equations_simulator
from mpq_jax.dynamics.mujoco_model import load_model, physics_steps_per_control
from mpq_jax.dynamics.native_simulator import make_native_simulator
from mpq_jax.dynamics.simulator import Simulator
from mpq_jax.tasks import Task
from mpq_jax.tasks.check import check_task


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
    return _BACKENDS[_backend(task, physics)](task, physics)


def steps_per_control(task: Task, physics: PhysicsConfig) -> int:
    """Physics steps a control step of the task's simulator, without building it.

    Raises:
      TaskError, ConfigError: as `make_simulator`, of the MJCF and its timestep.
    """
    if _backend(task, physics) == 'equations':
        return 1
    return physics_steps_per_control(task, load_model(task, physics))


def _backend(task: Task, physics: PhysicsConfig) -> str:
    if physics.backend == 'auto':
        return 'equations' if task.mjcf is None else 'mjx'
    return physics.backend
