"""A task's plant with the physics of a config: its time step and solver iterations."""

import mujoco

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.tasks import Task
from mpq_jax.tasks.plant import control_law, edited_model, mocap_law, read_mjcf, sensor_slices

__all__ = [
    'control_law',
    'edited_model',
    'load_model',
    'mocap_law',
    'physics_steps_per_control',
    'sensor_slices',
]


def load_model(task: Task, physics: PhysicsConfig) -> mujoco.MjModel:
    """The MjModel with the true parameters, and the timestep and iterations of the config.

    Raises:
      TaskError: no MJCF, or one that MuJoCo refuses, or an actuator without a control range.
      ConfigError: a timestep that does not divide the control timestep.
    """
    model = read_mjcf(task)
    if physics.timestep:
        model.opt.timestep = physics.timestep
    if physics.solver_iterations:
        model.opt.iterations = physics.solver_iterations
    if physics.line_search_iterations:
        model.opt.ls_iterations = physics.line_search_iterations
    # A simulation that diverges is to be seen as such, not put back to where it began.
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    physics_steps_per_control(task, model)
    return edited_model(task, model, task.true_parameters)


def physics_steps_per_control(task: Task, model: mujoco.MjModel) -> int:
    ratio = task.control_timestep / model.opt.timestep
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise ConfigError(
            'physics.timestep',
            float(model.opt.timestep),
            f"a whole fraction of the task's control timestep {task.control_timestep} s",
        )
    return round(ratio)
