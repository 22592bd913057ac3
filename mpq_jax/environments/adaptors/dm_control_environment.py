"""DeepMind's Control Suite, by 'domain-task': needs the extra `dm_control`."""

import functools
import importlib
import warnings
from typing import Any

import mujoco
import numpy as np

from mpq_jax.base.validation import ConfigError, nearest
from mpq_jax.environments.adaptors.environment import Outcome, Place, place_in, position_in


class DmControlEnvironment:
    """One of its tasks, with its own physics, rewards and starts."""

    def __init__(self, identity: str, name: str):
        """`identity` is 'cartpole-swingup'; `name` the run's real_system.

        Raises:
          ConfigError: dm_control is not installed, or has no such task.
        """
        suite = load_suite(name)
        known = [f'{domain}-{task}' for domain, task in suite.ALL_TASKS]
        if identity not in known:
            raise ConfigError(
                'real_system', name, f"dm_control:domain-task, of dm_control's suite"
                f'{nearest(identity, known)}',
            )  # fmt: skip
        domain, _, task = identity.partition('-')
        self._environment = suite.load(domain, task, task_kwargs={'random': 0})
        self.step_seconds = float(self._environment.control_timestep())
        actions = self._environment.action_spec()
        self.action_range = actions.minimum.astype(float), actions.maximum.astype(float)

    @property
    def _structs(self) -> tuple[mujoco.MjModel, mujoco.MjData]:
        """MuJoCo's own, which some of its tasks replace at a reset."""
        physics = self._environment.physics
        return physics.model.ptr, physics.data.ptr

    def reset(self, seed: int) -> None:
        self._environment.task.random.seed(seed)
        self._environment.reset()

    def step(self, action: np.ndarray) -> Outcome:
        following = self._environment.step(action)
        terminated = following.last() and following.discount == 0.0
        return Outcome(float(following.reward or 0.0), terminated, following.last())

    def place(self) -> Place:
        return place_in(self._structs[1])

    def position_of(self, name: str) -> np.ndarray:
        return position_in(*self._structs, name)

    def draw(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        physics = self._environment.physics
        with physics.reset_context():
            physics.data.qpos[:], physics.data.qvel[:] = qpos, qvel
        return physics.render(height=400, width=480, camera_id=0)

    def close(self) -> None:
        self._environment.close()


@functools.cache
def _fit_to_mujoco() -> None:
    """Drops from its tables the sizes of fields that this MuJoCo's structs have no more.

    dm_control is generated for one version of MuJoCo, and fails on the next one's structs.
    """
    sizes: Any = importlib.import_module('dm_control.mujoco.wrapper.mjbindings.sizes').array_sizes
    empty = mujoco.MjModel.from_xml_string('<mujoco/>')
    for name, struct in (('mjmodel', empty), ('mjdata', mujoco.MjData(empty))):
        for field in [field for field in sizes[name] if not hasattr(struct, field)]:
            del sizes[name][field]


def load_suite(name: str) -> Any:
    """The module `dm_control.suite`, fit to this MuJoCo. Raises ConfigError where there is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # GLFW's, where there is no display
            _fit_to_mujoco()
            return importlib.import_module('dm_control.suite')
    except ImportError as error:
        raise ConfigError(
            'real_system', name, f"another without: pip install 'mpq_jax[dm_control]' ({error})"
        ) from error
