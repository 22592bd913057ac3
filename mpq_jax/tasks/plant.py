"""A task's MJCF as an MjModel: loading it, editing its parameters, scaling its actions."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.model_source import is_urdf, make_model
from mpq_jax.tasks.task import Task


def read_mjcf(task: Task) -> mujoco.MjModel:
    """The MjModel as the MJCF has it, before any parameter is set.

    Raises:
      TaskError: no MJCF, or one that MuJoCo refuses, or with a feature that backends would not
        agree on; no actuator, or one whose control range an action in [-1, 1] cannot be scaled to.
    """
    if task.mjcf is None:
        raise TaskError(f"task {task.name!r} has no MJCF: use backend 'equations'")
    blame = f'task {task.name!r}'
    model = make_model(task.mjcf, task.assets, task.views, blame)
    if model is task.mjcf:  # what follows edits it
        model = copy.copy(model)
    _check_features(blame, model)
    _check_actuators(task, model)
    return model


_URDF_REMEDY = """. A URDF never has any; give the task a function that adds them, mjcf=plant:

    def plant():
        spec = mujoco.MjSpec.from_file('robot.urdf')
        for joint in spec.joints:
            motor = spec.add_actuator(name=joint.name, target=joint.name)
            motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
            motor.ctrlrange, motor.ctrllimited = [-10.0, 10.0], True  # N m
        return spec"""


def _check_features(blame: str, model: mujoco.MjModel) -> None:
    """Refuses by name what is no part of a `State`: backends would silently differ."""
    kinds, why = mujoco.mjtSensor, 'which is no part of the state that plans start from'
    for i in range(model.nsensor):
        sensor, kind = repr(model.sensor(i).name or i), int(model.sensor_type[i])
        if kind == kinds.mjSENS_CLOCK:
            raise TaskError(
                f'{blame}: its sensor {sensor} is a clock, and reads the time, {why}: keep the '
                'time in `variables`, and let `advance` count it'
            )
        if kind in (kinds.mjSENS_USER, kinds.mjSENS_PLUGIN):
            raise TaskError(
                f'{blame}: its sensor {sensor} is computed by a callback or a plugin, which not '
                'every backend has'
            )
    late = [
        f'{kind} {getattr(model, kind)(i).name or i!r}'
        for kind, count in (('actuator', model.nu), ('sensor', model.nsensor))
        for i in range(count)
        if getattr(model, f'{kind}_delay')[i] > 0 or getattr(model, f'{kind}_history')[i].any()
    ]
    late += [
        f'sensor {model.sensor(i).name or i!r}'
        for i in range(model.nsensor)
        if model.sensor_interval[i].any()
    ]
    if late:
        raise TaskError(f'{blame}: {late[0]} is delayed or sampled, by a history {why}')
    if model.npluginstate:
        raise TaskError(f'{blame}: its plugins have a state of their own, {why}')
    if model.nuserdata:
        raise TaskError(f'{blame}: it has userdata (size nuserdata), {why}')


def _check_actuators(task: Task, model: mujoco.MjModel) -> None:
    if model.nu == 0:
        remedy = _URDF_REMEDY if task.mjcf is not None and is_urdf(task.mjcf) else ''
        raise TaskError(
            f'task {task.name!r}: its MJCF has no actuators: it needs at least one{remedy}'
        )
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


def mocap_law(task: Task, model: mujoco.MjModel) -> Callable[[Any], Any]:
    """Where mocap bodies are: variables -> positions and unit quaternions `[nmocap, 7]`.

    A task without `mocap` gets (): its bodies stay where the MJCF has them.
    """
    mocap = task.mocap
    if mocap is None:
        return lambda variables: ()
    bodies = np.flatnonzero(model.body_mocapid >= 0)  # in the order of their places
    still = np.hstack([model.body_pos[bodies], model.body_quat[bodies]]).astype(np.float32)

    def poses(variables):
        placed = jnp.asarray(still)
        for name, pose in mocap(variables).items():
            row = int(model.body_mocapid[model.body(name).id])
            placed = placed.at[row, : pose.shape[0]].set(pose)
        turns = placed[:, 3:]
        return placed.at[:, 3:].set(turns / jnp.linalg.norm(turns, axis=1, keepdims=True))

    return poses


def sensor_slices(model: mujoco.MjModel) -> dict[str, slice]:
    """Sensor name -> its place in sensordata."""
    sensors = (model.sensor(i) for i in range(model.nsensor))
    return {s.name: slice(int(s.adr[0]), int(s.adr[0] + s.dim[0])) for s in sensors}
