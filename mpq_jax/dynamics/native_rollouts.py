"""Batches of trajectories by native MuJoCo, on all cores, from arrays to arrays."""

import collections
import itertools
import math
import threading
from typing import Any, NamedTuple

import mujoco
import numpy as np
from mujoco.batch import Batch

from mpq_jax.base.machine import usable_cores
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import (
    control_law,
    edited_model,
    load_model,
    physics_steps_per_control,
)
from mpq_jax.tasks import Task
from mpq_jax.tasks.physics_warnings import HUGE

_MOST_MODELS = 1024  # edited models that a simulator keeps, or those of a call where they are more
_MOST_BATCHES = 2  # of the process, each with threads of its own
_FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS
_one_at_a_time = threading.Lock()  # to have the cores
_batches: collections.OrderedDict[int, Batch] = collections.OrderedDict()  # by simulator's number
_numbers = itertools.count()  # an id would come again once a simulator is gone, its batch not


class Physics(NamedTuple):
    """What a batch of native rollouts gives back; B trajectories of T control steps."""

    qpos: Any  # [B, T + 1, nq]
    qvel: Any  # [B, T + 1, nv]
    act: Any  # [B, T + 1, na]
    sensordata: Any  # [B, T + 1, ns]


class NativeRollouts:
    """Arrays with any leading axes in, batches of native rollouts out."""

    def __init__(self, task: Task, physics: PhysicsConfig):
        """Raises TaskError for an MJCF that cannot be loaded."""
        self._task = task
        self.model = load_model(task, physics)
        self.steps_per_control = physics_steps_per_control(task, self.model)
        self._control = control_law(task, self.model)
        self._hook = task.after_physics_step
        self._names = [p.name for p in task.parameters]
        self._models: dict[bytes, mujoco.MjModel] = {}
        self._number = next(_numbers)

    def __call__(self, values, qpos, qvel, act, actions, poses=None) -> Physics:
        """Values `[..., P]`, state `[..., n]`, actions `[..., T, nu]`; axes of 1 are shared.

        Mocap bodies have poses `[..., nmocap, 7]` throughout; those of the MJCF, if None.
        """
        values, qpos, qvel, act, actions = map(np.asarray, (values, qpos, qvel, act, actions))
        poses = np.zeros((1, 0, 7)) if poses is None else np.asarray(poses)
        starts = np.broadcast_shapes(*(x.shape[:-1] for x in (qpos, qvel, act)), poses.shape[:-2])
        lead = np.broadcast_shapes(values.shape[:-1], starts, actions.shape[:-2])

        def flat(array, inner):
            full = np.broadcast_to(array, lead + array.shape[array.ndim - inner :])
            return full.reshape(math.prod(lead), *array.shape[array.ndim - inner :])

        models = np.broadcast_to(self._models_of(values), lead).ravel()
        states = np.concatenate([flat(x, 1) for x in (qpos, qvel, act)], axis=1, dtype=np.float64)
        places = flat(poses, 2)
        with _one_at_a_time:
            if actions.shape[-2]:
                result = self._roll(models.tolist(), states, places, flat(actions, 2))
            else:
                which = np.broadcast_to(np.arange(math.prod(starts)).reshape(starts), lead).ravel()
                result = self._read(models, states, places, which)
        return Physics(*(x.reshape(lead + x.shape[1:]) for x in result))

    def _read(
        self, models: np.ndarray, states: np.ndarray, poses: np.ndarray, which: np.ndarray
    ) -> Physics:
        """States `[B]` before any action; a model and a state, numbered `which`, are read once."""
        _, draws = np.unique(np.frompyfunc(id, 1, 1)(models).astype(np.int64), return_inverse=True)
        pairs = draws * len(models) + which
        _, first, places = np.unique(pairs, return_index=True, return_inverse=True)
        none = np.zeros((len(first), 0, self.model.nu))
        result = self._roll(models[first].tolist(), states[first], poses[first], none)
        return Physics(*(x[places] for x in result))

    def _roll(
        self, models: list, start: np.ndarray, poses: np.ndarray, actions: np.ndarray
    ) -> Physics:
        """Actions `[B, T, nu]` from states `[B, nq + nv + na]` at rest in time."""
        batch, ids = self._begun(models, start, poses)
        rows = slice(len(ids))
        count = actions.shape[1]
        # Where the control depends on the state, a call a control step; otherwise one in all.
        spans = 1 if self._task.control is None else count
        every, sensed, sound = [np.pad(start, ((0, 0), (1, 0)))[:, None]], [], []
        for span in np.split(actions, spans, axis=1) if count else ():
            here = batch.qpos[rows, None], batch.qvel[rows, None]
            held = np.repeat(self._control(*here, span), self.steps_per_control, axis=1)
            for part in np.split(held, held.shape[1], axis=1) if self._hook else [held]:
                states, sensordata = self._advance(batch, ids, part)
                sound.append(self._is_sound(every[-1][:, -1], states))
                every.append(self._hooked(batch, states) if self._hook else states)
                sensed.append(sensordata)
        states = np.concatenate(every, axis=1)
        if not all(x.all() for x in sound):
            lost = ~np.logical_and.accumulate(np.concatenate(sound, axis=1), axis=1)
            states[:, 1:][lost] = np.nan
        states = states[:, :: self.steps_per_control, 1:]
        nq, nv = self.model.nq, self.model.nv
        qpos, qvel, act = np.split(states, [nq, nq + nv], axis=-1)
        if not self.model.nsensordata:
            return Physics(qpos, qvel, act, np.zeros((*qpos.shape[:2], 0)))
        sensed = [np.concatenate(sensed, axis=1)[:, :: self.steps_per_control]] if count else []
        sensed.append(self._last_sensors(batch, ids, states[:, -1])[:, None])
        return Physics(qpos, qvel, act, np.concatenate(sensed, axis=1))

    def _begun(
        self, models: list, start: np.ndarray, poses: np.ndarray
    ) -> tuple[Batch, np.ndarray]:
        """A batch whose first simulations are of these models, in these states; and their ids."""
        batch, ids = self._batch(len(models)), np.arange(len(models))
        batch.set_models(models + [self.model] * (batch.nsim - len(models)))
        batch.reset(ids, stage=mujoco.mjtStage.mjSTAGE_NONE)
        nq, nv = self.model.nq, self.model.nv
        for name, values in zip(
            ('qpos', 'qvel', 'act'), np.split(start, [nq, nq + nv], 1), strict=True
        ):
            batch.bind(name)[: len(ids)] = values
        if poses.shape[1]:
            batch.bind('mocap_pos')[: len(ids)] = poses[..., :3]
            batch.bind('mocap_quat')[: len(ids)] = poses[..., 3:]
        return batch, ids

    def _batch(self, count: int) -> Batch:
        """This simulator's, of at least so many simulations."""
        batch = _batches.pop(self._number, None)
        if batch is None or batch.nsim < count:
            asleep = bool(self.model.opt.enableflags & mujoco.mjtEnableBit.mjENBL_SLEEP)
            batch = Batch(self.model, count, usable_cores(), persistent=asleep)
        _batches[self._number] = batch  # the latest used stand last
        while len(_batches) > _MOST_BATCHES:
            _batches.popitem(last=False)
        return batch

    def _advance(self, batch: Batch, ids: np.ndarray, control: np.ndarray):
        """States and sensors `[B, T, n]` of physics steps with controls `[B, T, nu]`."""
        record = [_FULL, 'sensordata'] if self.model.nsensordata else [_FULL]
        after = batch.rollout(control.shape[1], control, record=record, ids=ids)
        return after[_FULL], after.get('sensordata')

    def _hooked(self, batch: Batch, states: np.ndarray) -> np.ndarray:
        """States `[B, 1, n]` as the task's hook has them after a physics step."""
        assert self._hook is not None
        qpos, qvel = self._positions(states[:, 0])
        qpos[:], qvel[:] = self._hook(qpos, qvel, self.model.opt.timestep)
        batch.qpos[: len(qpos)], batch.qvel[: len(qvel)] = qpos, qvel
        return states

    def _last_sensors(self, batch: Batch, ids: np.ndarray, last: np.ndarray) -> np.ndarray:
        """Sensors `[B, ns]` of where they are now, uncontrolled; NaN for those that diverged."""
        sensors = batch.bind('sensordata')
        batch.ctrl[: len(ids)] = 0.0
        batch.forward(ids, stage=int(self.model.sensor_needstage.max()))
        sound = np.isfinite(last).all(axis=-1, keepdims=True)
        return np.where(sound, sensors[: len(ids)], np.nan)

    def _is_sound(self, start: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Whether steps from a start `[B, n]` to states `[B, T, n]` were sound, `[B, T]` bool.

        As MuJoCo has it: no position, velocity or acceleration that is not finite or huge. From
        a warning on a batch repeats the state it had, and the time stands still.
        """
        timestep, count = self.model.opt.timestep, states.shape[1]
        # Nothing near a bound, nor can an acceleration be, and every clock went to the end: the
        # usual case, in one look at the numbers.
        calm = max(states.max(), -states.min()) < 0.5 * HUGE * timestep
        if calm and (states[:, -1, 0] - start[:, 0] > (count - 0.5) * timestep).all():
            return np.ones(states.shape[:2], bool)
        before = np.concatenate([start[:, None], states[:, :-1]], axis=1)
        qpos, qvel = self._positions(states)
        acceleration = (qvel - self._positions(before)[1]) / timestep
        sound = states[..., 0] - before[..., 0] > 0.5 * timestep
        for values in (qpos, qvel, acceleration):
            sound &= (np.abs(values) < HUGE).all(axis=-1)
        return sound

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
