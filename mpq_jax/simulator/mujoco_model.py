"""A task's MJCF as an MjModel: loading it, editing its parameters, scaling its actions."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from mpq_jax.config import PhysicsConfig
from mpq_jax.tasks.task import Task
from mpq_jax.validation import ConfigError, TaskError


def load_model(task: Task, physics: PhysicsConfig) -> mujoco.MjModel:
    """The MjModel with the true parameters, and the timestep and iterations of the config.

    Raises:
      TaskError: no MJCF, or one that MuJoCo refuses, or an actuator without a control range.
      ConfigError: a timestep that does not divide the control timestep.
    """
    if task.mjcf is None:
        raise TaskError(f"task {task.name!r} has no MJCF: use backend 'equations'")
    try:
        if isinstance(task.mjcf, str) and task.mjcf.lstrip().startswith('<'):
            model = mujoco.MjModel.from_xml_string(task.mjcf)
        else:
            model = mujoco.MjModel.from_xml_path(str(Path(task.mjcf)))
    except ValueError as error:
        raise TaskError(f'task {task.name!r}: its MJCF cannot be loaded: {error}') from error
    if physics.timestep:
        model.opt.timestep = physics.timestep
    if physics.solver_iterations:
        model.opt.iterations = physics.solver_iterations
    if physics.line_search_iterations:
        model.opt.ls_iterations = physics.line_search_iterations
    unlimited = [
        model.actuator(i).name for i in range(model.nu) if not model.actuator_ctrllimited[i]
    ]
    if model.nu == 0 or (unlimited and task.control is None):
        raise TaskError(
            f'task {task.name!r}: actuators {unlimited} have no ctrlrange: actions in [-1, 1] are '
            'scaled to it, so at least one actuator is needed and each must be limited, unless '
            'the task has a `control` function'
        )
    physics_steps_per_control(task, model)
    return edited_model(task, model, task.true_parameters)


def edited_model(task: Task, model: mujoco.MjModel, values: Mapping[str, float]) -> mujoco.MjModel:
    """A copy with the task's parameters set and the constants that follow from them."""
    if not task.parameters:
        return model
    if task.set_parameters is None:
        raise TaskError(f'task {task.name!r} names parameters but no set_parameters function')
    edited = copy.copy(model)
    task.set_parameters(edited, values)
    mujoco.mj_setConst(edited, mujoco.MjData(edited))
    return edited


def physics_steps_per_control(task: Task, model: mujoco.MjModel) -> int:
    ratio = task.control_timestep / model.opt.timestep
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-6:
        raise ConfigError(
            'physics.timestep',
            float(model.opt.timestep),
            f"a whole fraction of the task's control timestep {task.control_timestep} s",
        )
    return round(ratio)


def control_law(task: Task, model: mujoco.MjModel) -> Callable[[Any, Any, Any], Any]:
    """What the actuators get: (qpos, qvel, action `[nu]` in [-1, 1]) -> ctrl `[nu]`.

    The task's own, or the action scaled to the control range. Takes JAX and NumPy arrays, and
    leading axes.
    """
    if task.control is not None:
        return task.control
    low, high = model.actuator_ctrlrange.astype(np.float32).T
    middle, half = (low + high) / 2, (high - low) / 2
    return lambda qpos, qvel, action: middle + half * action


def sensor_slices(model: mujoco.MjModel) -> dict[str, slice]:
    """Sensor name -> its place in sensordata."""
    sensors = (model.sensor(i) for i in range(model.nsensor))
    return {s.name: slice(int(s.adr[0]), int(s.adr[0] + s.dim[0])) for s in sensors}
