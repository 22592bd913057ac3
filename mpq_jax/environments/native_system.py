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
    mocap_law,
    physics_steps_per_control,
    sensor_slices,
)
from mpq_jax.environments.real_system import Measurement
from mpq_jax.tasks import Reading, Start, Task
from mpq_jax.tasks.physics_warnings import is_unstable


class NativeSystem:
    """One copy, in double precision. MuJoCo frees Python's lock while it steps."""

    def __init__(
        self, task: Task, model: mujoco.MjModel, start: Callable[[jax.Array], Start],
        poses: Callable[[Any], Any], advance: Callable[..., Any] | None,
    ):  # fmt: skip
        """Compiled functions, which copies share with the model.

        Args:
          task: which one.
          model: the true one.
          start: `task.reset`.
          poses: `mocap_law`.
          advance: `task.advance`, where mocap bodies follow the variables; None if they do not.
        """
        self.task = task
        self.model, self._start, self._poses, self._advance = model, start, poses, advance
        self._data = mujoco.MjData(model)
        self._control = control_law(task, model)
        self._steps = physics_steps_per_control(task, model)
        self._sensors = sensor_slices(model)
        self._variables: Any = ()
        self._reading: Reading | None = None

    def reset(self, key: jax.Array) -> Measurement:
        start = self._start(key)
        mujoco.mj_resetData(self.model, self._data)
        self._data.qpos[:], self._data.qvel[:] = start.qpos, start.qvel
        self._variables = jax.tree.map(np.asarray, start.variables)
        self._place()
        return self._measured()

    def step(self, action: np.ndarray) -> Measurement:
        data = self._data
        data.ctrl[:] = self._control(data.qpos, data.qvel, np.asarray(action))
        hook = self.task.after_physics_step
        if hook is None:
            mujoco.mj_step(self.model, self._data, self._steps)
        else:
            for _ in range(self._steps):
                mujoco.mj_step(self.model, self._data)
                self._data.qpos[:], self._data.qvel[:] = hook(
                    self._data.qpos, self._data.qvel, self.model.opt.timestep
                )
        self._follow(action)
        return self._measured()

    def starting(self, key: jax.Array) -> Start:
        """What the task itself draws."""
        return self._start(key)

    def began_at(self, place: Mapping[str, np.ndarray], variables: Any) -> Measurement:
        """Measures a start of somebody else's system: `place` by the names of MjData's fields."""
        self._variables = jax.tree.map(np.asarray, variables)
        return self._at(place)

    def came_to(self, place: Mapping[str, np.ndarray], action: np.ndarray) -> Measurement:
        """Measures where an action brought somebody else's system."""
        self._follow(action)
        return self._at(place)

    def _at(self, place: Mapping[str, np.ndarray]) -> Measurement:
        for field, values in place.items():
            getattr(self._data, field)[:] = values
        self._place()
        return self._measured()

    def _follow(self, action: np.ndarray) -> None:
        """Variables a control step later, where mocap bodies follow them."""
        if self._advance is not None:
            later = self._advance(self._reading, self._variables, np.asarray(action, np.float32))
            self._variables = jax.device_get(later)
            self._place()

    def _place(self) -> None:
        """Puts mocap bodies where the variables want them."""
        if self.task.mocap is not None:
            poses = np.asarray(self._poses(self._variables))
            self._data.mocap_pos[:], self._data.mocap_quat[:] = poses[:, :3], poses[:, 3:]

    def _measured(self) -> Measurement:
        """The state after the last step, and the sensors of that very state; NaN if it diverged."""
        data = self._data
        warmstart = data.qacc_warmstart.copy()
        sensed: dict[str, Any] = {}
        if self._sensors:
            mujoco.mj_forward(self.model, data)
            data.qacc_warmstart[:] = warmstart
            sensed = {n: data.sensordata[p].astype(np.float32) for n, p in self._sensors.items()}
        parts: list[Any] = [
            np.array(x, np.float32) for x in (data.qpos, data.qvel, data.act, warmstart)
        ]
        if is_unstable(data):
            parts = [np.full_like(part, np.nan) for part in parts]
        qpos, qvel, act, warmstart = parts
        state = State(qpos, qvel, act, warmstart, self._variables)
        self._reading = Reading(qpos, qvel, sensed)
        return Measurement(state, self._reading)


def make_native_systems(task: Task, physics: PhysicsConfig, count: int) -> list[NativeSystem]:
    """Copies of a task's real system that can step in threads of their own.

    Raises:
      TaskError: the task has no MJCF that MuJoCo can load.
    """
    model = load_model(task, physics)
    start = compile(task.reset, jax.random.key(0), name='reset')
    advance = None if task.mocap is None or task.advance is None else jax.jit(task.advance)
    shared = start, jax.jit(mocap_law(task, model)), advance
    return [NativeSystem(task, model, *shared) for _ in range(count)]
