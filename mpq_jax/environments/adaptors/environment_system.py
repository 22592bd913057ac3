"""An environment behind the protocol of real systems: sizes, time steps, actions, own rewards."""

from collections.abc import Callable
from typing import Any

import jax
import mujoco
import numpy as np

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import State
from mpq_jax.dynamics.mujoco_model import load_model, sensor_slices
from mpq_jax.environments.adaptors.environment import Environment, Place
from mpq_jax.environments.native_system import sensed
from mpq_jax.environments.real_system import EpisodeEnded, Measurement
from mpq_jax.tasks import Reading, Task

FETCH_PUSH = 'FetchPush-v4'  # of the task `fetch_push`, by an adaptor of its own


class EnvironmentSystem:
    """One environment, with the starts it draws itself.

    The planner's state is read from it; sensors, and so a task's views, are those of the task's
    own true model in that state.
    """

    def __init__(self, task: Task, environment: Environment, model: mujoco.MjModel, name: str):
        """`model` is the task's, with its true parameters; `name` is the run's real_system.

        Raises:
          ConfigError: the two do not fit: which size, which time step.
        """
        self.task = task
        self.environment = environment
        self._model, self._data = model, mujoco.MjData(model)
        self._sensors = sensor_slices(model)
        self._check_sizes(name)
        self._steps = _steps(task, environment, name)
        self._variables: Any = ()
        self._over = False
        self.own_return, self.own_terminated = 0.0, False

    def reset(self, key: jax.Array) -> Measurement:
        """The environment's own start; its seed is made of the key."""
        self.environment.reset(int(np.asarray(jax.random.key_data(key)).ravel()[-1]) & 0x7FFFFFFF)
        self._over = False
        self.own_return, self.own_terminated = 0.0, False
        self._variables = self._variables_at_start(key)
        return self._measured()

    def step(self, action: np.ndarray) -> Measurement:
        if self._over:
            raise EpisodeEnded
        low, high = self.environment.action_range
        scaled = low + (high - low) * (np.asarray(action, float) + 1.0) / 2.0
        for _ in range(self._steps):
            reward, self.own_terminated, self._over = self.environment.step(scaled)
            self.own_return += float(reward)
            if self._over:
                break
        return self._measured()

    def draw(self, state: State) -> np.ndarray:
        """A picture `[height, width, 3]` by the environment's own renderer."""
        return self.environment.draw(np.asarray(state.qpos, float), np.asarray(state.qvel, float))

    def close(self) -> None:
        self.environment.close()

    def _variables_at_start(self, key: jax.Array) -> Any:
        """What the task reads of the environment's start; its own draw where it does not."""
        if self.task.variables_at is None:
            return jax.tree.map(np.asarray, self.task.reset(key).variables)
        place = self.environment.place()
        reading = self._reading(place)
        variables = self.task.variables_at(reading, self.environment.position_of)
        return jax.tree.map(lambda x: np.asarray(x, np.float32), variables)

    def _measured(self) -> Measurement:
        place = self.environment.place()
        parts: Any = [np.asarray(x, np.float32) for x in place]
        qpos, qvel, act, warmstart, _ = parts
        state = State(qpos, qvel, act, warmstart, self._variables)
        return Measurement(state, self._reading(place))

    def _reading(self, place: Place) -> Reading:
        qpos: Any = np.asarray(place.qpos, np.float32)
        qvel: Any = np.asarray(place.qvel, np.float32)
        if not self._sensors:
            return Reading(qpos, qvel, {})
        data = self._data
        fields = 'qpos', 'qvel', 'act', 'qacc_warmstart', 'ctrl'
        for field, values in zip(fields, place, strict=True):
            getattr(data, field)[:] = values
        return Reading(qpos, qvel, sensed(self._model, data, self._sensors))

    def _check_sizes(self, name: str) -> None:
        self.environment.reset(0)
        place, low = self.environment.place(), self.environment.action_range[0]
        for what, theirs, ours in (
            ('qpos', len(place.qpos), self._model.nq), ('qvel', len(place.qvel), self._model.nv),
            ('act', len(place.act), self._model.na), ('actions', len(low), self._model.nu),
        ):  # fmt: skip
            if theirs != ours:
                raise ConfigError(
                    'real_system',
                    name,
                    f'an environment that fits the task {self.task.name!r}: it has {theirs} '
                    f'{what}, the task has {ours}',
                )


def _steps(task: Task, environment: Environment, name: str) -> int:
    """How often the environment is stepped in a control step of the task."""
    ratio = task.control_timestep / environment.step_seconds
    if round(ratio) < 1 or abs(ratio - round(ratio)) > 1e-3:
        raise ConfigError(
            'real_system',
            name,
            f'an environment whose step, {environment.step_seconds:g} s, goes into the control '
            f'timestep of the task {task.name!r}, {task.control_timestep:g} s, a whole number of '
            'times',
        )
    return round(ratio)


def make_system(
    make: Callable[[str, str], Environment], task: Task, physics: PhysicsConfig, name: str
) -> EnvironmentSystem:
    """One system; `make(identity, name)` makes its environment.

    Raises:
      ConfigError: there is no such environment, or it does not fit the task.
      TaskError: the task has no MJCF.
    """
    kind, colon, identity = name.partition(':')
    if not colon:
        identity = own_identity(task, kind)
    return EnvironmentSystem(task, make(identity, name), load_model(task, physics), name)


def own_identity(task: Task, kind: str) -> str:
    """What the task's own environment is called there. Raises ConfigError where it has none."""
    family, colon, identity = task.name.partition(':')
    if task.name == 'fetch_push' and kind == 'gymnasium':
        return FETCH_PUSH
    if not colon or family != kind:
        raise ConfigError(
            'real_system',
            kind,
            f'{kind}:ID with the id of an environment, or the task one of {kind}: '
            f'the task {task.name!r} has no environment of its own there',
        )
    return identity
