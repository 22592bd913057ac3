"""An environment behind the protocol of real systems: sizes, time steps, actions, own rewards."""

from typing import Any

import jax
import numpy as np

from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.dynamics import State
from mpq_jax.environments.adaptors.environment import Environment
from mpq_jax.environments.native_system import NativeSystem
from mpq_jax.environments.real_system import EpisodeEnded, Measurement
from mpq_jax.tasks import Reading, Task

FETCH_PUSH = 'FetchPush-v4'  # of the task `fetch_push`, by an adaptor of its own


class EnvironmentSystem:
    """One environment, with the starts it draws itself.

    The planner's state is read from it; sensors, and so a task's views, are those of the task's
    own true model in that state.
    """

    def __init__(self, environment: Environment, shadow: NativeSystem, name: str):
        """`shadow` is the task's own system, that never moves; `name` the run's real_system.

        Raises:
          ConfigError: the two do not fit: which size, which time step.
        """
        self.task = shadow.task
        self.environment, self._shadow = environment, shadow
        _check_sizes(environment, shadow, name)
        self._steps = _steps(self.task, environment, name)
        self._over = False
        self.own_return, self.own_terminated = 0.0, False

    def reset(self, key: jax.Array) -> Measurement:
        """The environment's own start; its seed is made of the key."""
        self.environment.reset(int(np.asarray(jax.random.key_data(key)).ravel()[-1]) & 0x7FFFFFFF)
        self._over = False
        self.own_return, self.own_terminated = 0.0, False
        variables = self._shadow.starting(key).variables
        place = self.environment.place()._asdict()
        start = self._shadow.began_at(place, variables)
        if self.task.variables_at is None:
            return start
        return self._shadow.began_at(place, self._found(start.reading, variables))

    def _found(self, reading: Reading, like: Any) -> Any:
        """What the task makes of the environment's start; of the shapes of its own variables."""
        assert self.task.variables_at is not None
        blame = f'task {self.task.name!r}: variables_at'
        try:
            found = self.task.variables_at(reading, self.environment.position_of)
        except KeyError as error:
            raise TaskError(
                f'{blame}: the environment has no body, geom or site {error}'
            ) from error
        shapes, wanted = (
            jax.tree.map(np.shape, tree, is_leaf=lambda x: x is None) for tree in (found, like)
        )
        if shapes != wanted:
            raise TaskError(f'{blame} returned shapes {shapes}: reset gives variables of {wanted}')
        return jax.tree.map(lambda x, one: np.asarray(x, one.dtype), found, like)

    def step(self, action: np.ndarray) -> Measurement:
        if self._over:
            raise EpisodeEnded
        low, high = self.environment.action_range
        scaled = low + (high - low) * (np.asarray(action, float) + 1.0) / 2.0
        for _ in range(self._steps):
            reward, self.own_terminated, self._over = self.environment.step(scaled)
            self.own_return += reward
            if self._over:
                break
        return self._shadow.came_to(self.environment.place()._asdict(), action)

    def draw(self, state: State) -> np.ndarray:
        """A picture `[height, width, 3]` by the environment's own renderer."""
        return self.environment.draw(np.asarray(state.qpos, float), np.asarray(state.qvel, float))

    def close(self) -> None:
        self.environment.close()


def _check_sizes(environment: Environment, shadow: NativeSystem, name: str) -> None:
    environment.reset(0)
    place, model = environment.place(), shadow.model
    for what, theirs, ours in (
        ('qpos', len(place.qpos), model.nq), ('qvel', len(place.qvel), model.nv),
        ('act', len(place.act), model.na), ('actions', len(environment.action_range[0]), model.nu),
    ):  # fmt: skip
        if theirs != ours:
            raise ConfigError(
                'real_system',
                name,
                f'an environment that fits the task {shadow.task.name!r}: it has {theirs} {what}, '
                f'the task has {ours}',
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
