"""Playground's environments as real systems, on MJX: needs the extra `playground`."""

import functools
from typing import Any

import jax
import mujoco
import numpy as np

from mpq_jax.base.compilation import compile
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.environments.adaptors.environment import Outcome, Place
from mpq_jax.suite.playground.loading import load


class PlaygroundEnvironment:
    """One environment of its dm_control suite, as it is: `env.reset`, `env.step`."""

    def __init__(self, identity: str, name: str):
        """`identity` is 'CartpoleSwingup'; `name` the run's real_system. Compiles, once an id.

        Raises:
          ConfigError: Playground is not installed, or has none of that name.
        """
        try:
            self._environment = load(identity).environment
        except TaskError as error:
            raise ConfigError('real_system', name, f'one that can be had: {error}') from error
        self._model: mujoco.MjModel = self._environment.mj_model
        self.step_seconds = float(self._environment.dt)
        low, high = self._model.actuator_ctrlrange.astype(float).T
        self.action_range = low, high
        self._reset, self._step = _programs(identity)
        self._limit = int(self._environment._config.episode_length)
        self.state: Any = None
        self._steps = 0

    def reset(self, seed: int) -> None:
        self.state, self._steps = self._reset(jax.random.key(seed)), 0

    def step(self, action: np.ndarray) -> Outcome:
        self.state = self._step(self.state, np.asarray(action, np.float32))
        self._steps += 1
        done = bool(self.state.done)
        return Outcome(float(self.state.reward), done, done or self._steps >= self._limit)

    def place(self) -> Place:
        data = self.state.data
        return Place(*(np.asarray(getattr(data, field), float) for field in Place._fields))

    def position_of(self, name: str) -> np.ndarray:
        """Of bodies; those that are moved by mocap are where they were put last."""
        data, number = self.state.data, self._model.body(name).id
        if (place := self._model.body_mocapid[number]) >= 0:
            return np.asarray(data.mocap_pos[place])
        return np.asarray(data.xpos[number])

    def draw(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        data = self.state.data.replace(qpos=qpos, qvel=qvel)
        return self._environment.render(self.state.replace(data=data))

    def close(self) -> None:
        self.state = None


@functools.cache
def _programs(identity: str) -> tuple[Any, Any]:
    """`reset` and `step`, which all copies of an environment share."""
    environment = load(identity).environment
    reset = compile(environment.reset, jax.random.key(0), name=f'{identity} reset')
    state = jax.eval_shape(environment.reset, jax.random.key(0))
    action = jax.ShapeDtypeStruct((environment.action_size,), np.float32)
    return reset, compile(environment.step, state, action, name=f'{identity} step')
