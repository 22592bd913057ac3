"""The real system on native MuJoCo: a task's MJCF with its true parameters, step by step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import mujoco
import numpy as np

from mpq_jax.base.compilation import compile
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import State
from mpq_jax.dynamics.mujoco_model import (
    control_law,
    load_model,
    physics_steps_per_control,
    sensor_slices,
)
from mpq_jax.environments.real_system import Measurement
from mpq_jax.tasks import Reading, Start, Task
from mpq_jax.tasks.physics_warnings import is_unstable


class NativeSystem:
    """One copy, in double precision. MuJoCo frees Python's lock while it steps."""

    def __init__(self, task: Task, model: mujoco.MjModel, start: Callable[[jax.Array], Start]):
        """`start` is `task.reset`, compiled; copies share it and the model."""
        self.task = task
        self._model, self._start = model, start
        self._data = mujoco.MjData(model)
        self._control = control_law(task, model)
        self._steps = physics_steps_per_control(task, model)
        self._sensors = sensor_slices(model)
        self._variables = ()

    def reset(self, key: jax.Array) -> Measurement:
        start = self._start(key)
        mujoco.mj_resetData(self._model, self._data)
        self._data.qpos[:], self._data.qvel[:] = start.qpos, start.qvel
        self._variables = jax.tree.map(np.asarray, start.variables)
        return self._measured()

    def step(self, action: np.ndarray) -> Measurement:
        data = self._data
        data.ctrl[:] = self._control(data.qpos, data.qvel, np.asarray(action))
        hook = self.task.after_physics_step
        if hook is None:
            mujoco.mj_step(self._model, self._data, self._steps)
        else:
            for _ in range(self._steps):
                mujoco.mj_step(self._model, self._data)
                self._data.qpos[:], self._data.qvel[:] = hook(
                    self._data.qpos, self._data.qvel, self._model.opt.timestep
                )
        return self._measured()

    def _measured(self) -> Measurement:
        """The state after the last step, and the sensors of that very state; NaN if it diverged."""
        data = self._data
        warmstart = data.qacc_warmstart.copy()
        sensors = sensed(self._model, data, self._sensors) if self._sensors else {}
        parts: list[Any] = [
            np.array(x, np.float32) for x in (data.qpos, data.qvel, data.act, warmstart)
        ]
        if is_unstable(data):
            parts = [np.full_like(part, np.nan) for part in parts]
        qpos, qvel, act, warmstart = parts
        state = State(qpos, qvel, act, warmstart, self._variables)
        return Measurement(state, Reading(qpos, qvel, sensors))


def sensed(
    model: mujoco.MjModel, data: mujoco.MjData, sensors: Mapping[str, slice]
) -> dict[str, Any]:
    """The sensors of the very state that `data` hold, by name; the solver's start stays."""
    warmstart = data.qacc_warmstart.copy()
    mujoco.mj_forward(model, data)
    data.qacc_warmstart[:] = warmstart
    return {name: data.sensordata[place].astype(np.float32) for name, place in sensors.items()}


def make_native_systems(task: Task, physics: PhysicsConfig, count: int) -> list[NativeSystem]:
    """Copies of a task's real system that can step in threads of their own.

    Raises:
      TaskError: the task has no MJCF that MuJoCo can load.
    """
    model = load_model(task, physics)
    start = compile(task.reset, jax.random.key(0), name='reset')
    return [NativeSystem(task, model, start) for _ in range(count)]
