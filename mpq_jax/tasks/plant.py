"""A task's MJCF as an MjModel: loading it, editing its parameters, scaling its actions."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.task import Task


def read_mjcf(task: Task) -> mujoco.MjModel:
    """The MjModel as the MJCF has it, before any parameter is set.

    Raises:
      TaskError: no MJCF, or one that MuJoCo refuses, or no actuator, or one whose control range
        an action in [-1, 1] cannot be scaled to.
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
    _check_actuators(task, model)
    return model


def _check_actuators(task: Task, model: mujoco.MjModel) -> None:
    if model.nu == 0:
        raise TaskError(f'task {task.name!r}: its MJCF has no actuators: it needs at least one')
    if task.control is not None:
        return
    remedy = 'actions in [-1, 1] are scaled to it, unless the task has a `control` function'
    unlimited = np.flatnonzero(model.actuator_ctrllimited == 0)
    switched_off = [i for i in unlimited if model.actuator_ctrlrange[i].any()]
    names = ', '.join(
        repr(model.actuator(i).name) if model.actuator(i).name else f'number {i} (unnamed)'
        for i in (switched_off or unlimited)
    )
    if switched_off:
        raise TaskError(
            f'task {task.name!r}: of its actuators {names} have a ctrlrange that '
            f'ctrllimited="false" switches off: {remedy}'
        )
    if names:
        raise TaskError(f'task {task.name!r}: of its actuators {names} have no ctrlrange: {remedy}')


def edited_model(task: Task, model: mujoco.MjModel, values: Mapping[str, float]) -> mujoco.MjModel:
    """A copy with the task's parameters set and the constants that follow from them.

    Raises:
      TaskError: set_parameters is missing or fails, changes the time step, or makes a body whose
        mass or inertia is not positive.
    """
    if not task.parameters:
        return model
    if task.set_parameters is None:
        raise TaskError(f'task {task.name!r} names parameters but no set_parameters function')
    edited, at = copy.copy(model), ', '.join(f'{k} = {v:.6g}' for k, v in values.items())
    blame = f'task {task.name!r}: set_parameters'
    try:
        task.set_parameters(edited, values)
    except Exception as error:
        raise TaskError(f'{blame} failed with {type(error).__name__}: {error} (at {at})') from error
    if edited.opt.timestep != model.opt.timestep:
        raise TaskError(f'{blame} changes the time step, which planner_physics.timestep sets')
    for field in ('body_mass', 'body_inertia'):
        before, after = getattr(model, field), getattr(edited, field)
        bodies = np.flatnonzero(((before > 0) & ~(after > 0)).reshape(model.nbody, -1).any(axis=1))
        if len(bodies):
            raise TaskError(
                f'{blame} makes {field} of body {model.body(bodies[0]).name!r} '
                f'{after[bodies[0]]}: it must stay above 0 (at {at})'
            )
    mujoco.mj_setConst(edited, mujoco.MjData(edited))
    return edited


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
