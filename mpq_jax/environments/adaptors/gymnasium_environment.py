"""Gymnasium's MuJoCo environments, by id: needs the extra `gymnasium`."""

import importlib
from typing import Any

import numpy as np

from mpq_jax.base.validation import ConfigError, nearest
from mpq_jax.environments.adaptors.environment import Outcome, Place, place_in, position_in
from mpq_jax.suite.gymnasium import ARGUMENTS


class GymnasiumEnvironment:
    """An environment with MuJoCo's own model and data."""

    def __init__(self, identity: str, name: str):
        """`identity` is Gymnasium's, 'HalfCheetah-v5'; `name` the run's real_system.

        Raises:
          ConfigError: Gymnasium is not installed, or has none of that id, or one without qpos.
        """
        made = make(identity, name)
        self._environment = made
        inside = made.unwrapped
        if not (hasattr(inside, 'model') and hasattr(inside, 'data')):
            raise ConfigError(
                'real_system', name, f'one with qpos and qvel: {identity} has no MuJoCo model'
            )
        self._model, self._data = inside.model, inside.data
        self.step_seconds = float(inside.dt)
        low, high = made.action_space.low, made.action_space.high
        self.action_range = low.astype(float), high.astype(float)

    def reset(self, seed: int) -> None:
        self._environment.reset(seed=seed)

    def step(self, action: np.ndarray) -> Outcome:
        _, reward, terminated, truncated, _ = self._environment.step(action)
        return Outcome(float(reward), bool(terminated), bool(terminated or truncated))

    def place(self) -> Place:
        return place_in(self._data)

    def position_of(self, name: str) -> np.ndarray:
        return position_in(self._model, self._data, name)

    def draw(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        inside = self._environment.unwrapped
        inside.set_state(qpos, qvel)
        if (viewer := inside.mujoco_renderer.viewer) is not None:
            viewer.make_context_current()  # others may have drawn meanwhile
        return self._environment.render()

    def close(self) -> None:
        self._environment.close()


def make(identity: str, name: str) -> Any:
    """Gymnasium's environment of an id, with its time limit and a renderer.

    Raises:
      ConfigError: as `GymnasiumEnvironment`.
    """
    gymnasium = module(name)
    if identity not in gymnasium.registry:
        known = sorted(gymnasium.registry)
        raise ConfigError(
            'real_system', name, f'an id that Gymnasium has{nearest(identity, known)}'
        )
    try:
        return gymnasium.make(
            identity,
            disable_env_checker=True,
            render_mode='rgb_array',
            **ARGUMENTS.get(identity, {}),
        )
    except Exception as error:  # of many kinds: a missing package, an old version
        raise ConfigError(
            'real_system', name, f'one that can be made: {type(error).__name__}: {error}'
        ) from error


def module(name: str) -> Any:
    """The module gymnasium. Raises ConfigError where it is not installed."""
    try:
        return importlib.import_module('gymnasium')
    except ImportError as error:
        raise ConfigError(
            'real_system', name, f"another without: pip install 'mpq_jax[gymnasium]' ({error})"
        ) from error
