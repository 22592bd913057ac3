"""Physics by native MuJoCo on all cores, behind the same functions as MJX.

For planning without a GPU: whole batches of plans go through one `jax.pure_callback` into
`mujoco.rollout`. Everything else (noise, costs, scores, Q) stays JAX.
"""

import functools
import math
import threading
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco import rollout as mujoco_rollout

from mpq_jax.base.machine import usable_cores
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import (
    control_law,
    edited_model,
    load_model,
    physics_steps_per_control,
    sensor_slices,
)
from mpq_jax.dynamics.physics_warnings import HUGE
from mpq_jax.dynamics.simulator import Simulator, State, Trajectory
from mpq_jax.tasks import Reading, Task

_MOST_MODELS = 1024  # edited models that a simulator keeps, or those of a call where they are more
_one_at_a_time = threading.Lock()  # to have the threads


class _Physics(NamedTuple):
    """What a batch of native rollouts gives back; B trajectories of T control steps."""

    qpos: Any  # [B, T + 1, nq]
    qvel: Any  # [B, T + 1, nv]
    act: Any  # [B, T + 1, na]
    sensordata: Any  # [B, T + 1, ns]


def make_native_simulator(task: Task, physics: PhysicsConfig) -> Simulator:
    """Builds the task's simulator on native MuJoCo; its model is the parameters' values `[P]`.

    Raises:
      TaskError: the MJCF cannot be loaded.
    """
    native = _NativeRollouts(task, physics)
    model, sensors = native.model, sensor_slices(native.model)
    names = [p.name for p in task.parameters]

    def named(sensordata):
        return {name: sensordata[..., place] for name, place in sensors.items()}

    def trajectory(values, state: State, actions) -> Trajectory:
        count = actions.shape[0] + 1
        shapes = _Physics(
            jax.ShapeDtypeStruct((count, model.nq), jnp.float32),
            jax.ShapeDtypeStruct((count, model.nv), jnp.float32),
            jax.ShapeDtypeStruct((count, model.na), jnp.float32),
            jax.ShapeDtypeStruct((count, model.nsensordata), jnp.float32),
        )
        arguments = (values, state.qpos, state.qvel, state.act, actions)
        result = jax.pure_callback(native, shapes, *arguments, vmap_method='expand_dims')
        readings = Reading(result.qpos, result.qvel, named(result.sensordata))
        held = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (count, *x.shape)), (state.warmstart, state.variables)
        )
        return Trajectory(readings, State(result.qpos, result.qvel, result.act, *held))

    def step(values, state: State, action):
        readings, states = trajectory(values, state, action[None])
        return jax.tree.map(lambda x: x[1], states), jax.tree.map(lambda x: x[0], readings)

    def read(values, state: State) -> Reading:
        if not sensors:
            return Reading(state.qpos, state.qvel, {})
        readings, _ = trajectory(values, state, jnp.zeros((0, model.nu)))
        return jax.tree.map(lambda x: x[0], readings)

    return Simulator(
        task=task,
        backend='mujoco',
        action_size=model.nu,
        steps_per_control=native.steps_per_control,
        num_activations=model.na,
        trajectory_bytes=16 * (model.nq + model.nv + model.nsensordata + model.nu),
        step=step,
        read=read,
        make_models=lambda values: _stacked(names, values),
        trajectory=trajectory,
    )


def _stacked(names: list[str], values) -> jax.Array:
    """Values by name `[D]` -> `[D, P]`; one row of nothing for a task without parameters."""
    if not names:
        return jnp.zeros((1, 0))
    return jnp.stack([jnp.asarray(values[name], jnp.float32) for name in names], axis=-1)


class _NativeRollouts:
    """The callback: arrays with any leading axes in, batches of native rollouts out."""

    def __init__(self, task: Task, physics: PhysicsConfig):
        self._task = task
        self.model = load_model(task, physics)
        self.steps_per_control = physics_steps_per_control(task, self.model)
        self._control = control_law(task, self.model)
        self._names = [p.name for p in task.parameters]
        self._models: dict[bytes, mujoco.MjModel] = {}
        self._pool = _thread_pool()
        self._data = [mujoco.MjData(self.model) for _ in range(usable_cores())]

    def __call__(self, values, qpos, qvel, act, actions) -> _Physics:
        """Values `[..., P]`, state `[..., n]`, actions `[..., T, nu]`; axes of 1 are shared."""
        values, qpos, qvel, act, actions = map(np.asarray, (values, qpos, qvel, act, actions))
        lead = np.broadcast_shapes(values.shape[:-1], qpos.shape[:-1], actions.shape[:-2])

        def flat(array, inner):
            full = np.broadcast_to(array, lead + array.shape[array.ndim - inner :])
            return full.reshape(math.prod(lead), *array.shape[array.ndim - inner :])

        models = np.broadcast_to(self._models_of(values), lead).ravel()
        start = [np.zeros((len(models), 1)), flat(qpos, 1), flat(qvel, 1), flat(act, 1)]
        states = np.concatenate(start, axis=1, dtype=np.float64)
        if actions.shape[-2]:
            with _one_at_a_time:
                result = self._roll(models.tolist(), states, flat(actions, 2))
        else:
            starts = np.broadcast_shapes(*(x.shape[:-1] for x in (qpos, qvel, act)))
            which = np.broadcast_to(np.arange(math.prod(starts)).reshape(starts), lead).ravel()
            with _one_at_a_time:
                result = self._read(models, states, which)
        return _Physics(*(x.astype(np.float32).reshape(lead + x.shape[1:]) for x in result))

    def _read(self, models: np.ndarray, states: np.ndarray, which: np.ndarray) -> _Physics:
        """States `[B]` before any action; a model and a state, numbered `which`, are read once."""
        _, draws = np.unique(np.frompyfunc(id, 1, 1)(models).astype(np.int64), return_inverse=True)
        pairs = draws * len(models) + which
        _, first, places = np.unique(pairs, return_index=True, return_inverse=True)
        none = np.zeros((len(first), 0, self.model.nu))
        result = self._roll(models[first].tolist(), states[first], none)
        return _Physics(*(x[places] for x in result))

    def _roll(self, models: list, start: np.ndarray, actions: np.ndarray) -> _Physics:
        """Actions `[B, T, nu]` from full-physics states `[B, n]`."""
        # Where the control depends on the state, a call a control step; otherwise one in all.
        count = actions.shape[1]
        spans = 1 if self._task.control is None else count
        every, sensed, here = [start[:, None]], [], start
        for span in np.split(actions, spans, axis=1) if count else ():
            states, sensordata = self._span(models, here, span)
            here = states[:, -1]
            every.append(states[:, self.steps_per_control - 1 :: self.steps_per_control])
            sensed.append(sensordata[:, :: self.steps_per_control])
        if self.model.nsensordata:  # one physics step more, for the sensors of the last state
            rest = np.zeros((len(start), 1, self.model.nu))
            _, last = self._pool.rollout(models, self._data, here, rest)
            sensed.append(last)
        nq, nv, na = self.model.nq, self.model.nv, self.model.na
        states = np.concatenate(every, axis=1)[..., 1 : 1 + nq + nv + na]
        qpos, qvel, act = np.split(states, [nq, nq + nv], axis=-1)
        none = np.zeros((*qpos.shape[:2], 0))
        sensors = np.concatenate(sensed, axis=1) if self.model.nsensordata else none
        return _Physics(qpos, qvel, act, sensors)

    def _span(self, models: list, start: np.ndarray, actions: np.ndarray):
        """States and sensors of every physics step of control steps that need no state between."""
        qpos, qvel = self._positions(start[:, None])
        held = np.repeat(self._control(qpos, qvel, actions), self.steps_per_control, axis=1)
        hook = self._task.after_physics_step
        if hook is None:
            states, sensed = self._pool.rollout(models, self._data, start, held)
            return self._diverged_to_nan(start, states), sensed
        states, sensors = [], []
        for t in range(held.shape[1]):
            after, sensed = self._pool.rollout(models, self._data, start, held[:, t : t + 1])
            start = self._diverged_to_nan(start, after)[:, 0]
            qpos, qvel = self._positions(start)
            qpos[:], qvel[:] = hook(qpos, qvel, self.model.opt.timestep)
            states.append(start)
            sensors.append(sensed[:, 0])
        return np.stack(states, axis=1), np.stack(sensors, axis=1)

    def _diverged_to_nan(self, start: np.ndarray, states: np.ndarray) -> np.ndarray:
        """States `[B, T, n]` after each physics step from a start `[B, n]`, NaN once one diverged.

        As MuJoCo has it: a position, a velocity or an acceleration that is not finite or huge. From
        a warning on `mujoco.rollout` repeats the state it had, and the time stands still.
        """
        timestep, count = self.model.opt.timestep, states.shape[1]
        # Nothing near a bound, nor can an acceleration be, and every clock went to the end: the
        # usual case, in one look at the numbers.
        calm = max(states.max(), -states.min()) < 0.5 * HUGE * timestep
        if calm and (states[:, -1, 0] - start[:, 0] > (count - 0.5) * timestep).all():
            return states
        before = np.concatenate([start[:, None], states[:, :-1]], axis=1)
        qpos, qvel = self._positions(states)
        acceleration = (qvel - self._positions(before)[1]) / timestep
        sound = states[..., 0] - before[..., 0] > 0.5 * timestep
        for values in (qpos, qvel, acceleration):
            sound &= (np.abs(values) < HUGE).all(axis=-1)
        if not sound.all():
            states = np.where(np.logical_and.accumulate(sound, axis=1)[..., None], states, np.nan)
        return states

    def _positions(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Views of qpos and qvel in full-physics states `[..., n]`."""
        end = 1 + self.model.nq
        return states[..., 1:end], states[..., end : end + self.model.nv]

    def _models_of(self, values: np.ndarray) -> np.ndarray:
        """Values `[..., P]` -> the edited MjModels `[...]`, each built once."""
        rows = values.reshape(math.prod(values.shape[:-1]), values.shape[-1])
        models = np.empty(len(rows), object)
        for i, row in enumerate(rows):
            key = row.tobytes()
            model = self._models.pop(key, None)  # the latest used stand last
            if model is None:
                named = dict(zip(self._names, map(float, row), strict=True))
                model = edited_model(self._task, self.model, named)
            models[i] = self._models[key] = model
        if len(self._models) > _MOST_MODELS:
            for key in list(self._models)[: -max(_MOST_MODELS, len(rows))]:
                del self._models[key]
        return models.reshape(values.shape[:-1])


@functools.cache
def _thread_pool() -> mujoco_rollout.Rollout:
    """One for all simulators of the process; a call uses all of it."""
    return mujoco_rollout.Rollout(nthread=usable_cores())
