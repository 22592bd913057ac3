"""Gymnasium-Robotics' FetchPush as a real system: its arm, meshes, starts and 0.002 s physics.

Needs the extra `fetch`. The planner's state is read from the environment, step by step; what
the planner believes stays the task's own model.
"""

import types
from typing import Any

import jax
import mujoco
import numpy as np

from mpq_jax.base.validation import ConfigError
from mpq_jax.dynamics import State
from mpq_jax.environments.real_system import Measurement
from mpq_jax.tasks import Reading, Task

ENVIRONMENT = 'FetchPush-v4'


class GymnasiumFetchPush:
    """One environment, with the starts and goals it draws itself."""

    def __init__(self, task: Task):
        """`task` is 'fetch_push'.

        Raises:
          ConfigError: another task, or Gymnasium-Robotics is not installed.
        """
        gymnasium = check_gymnasium(task)
        self.task = task
        self.environment = gymnasium.make(ENVIRONMENT, disable_env_checker=True).unwrapped

    def reset(self, key: jax.Array) -> Measurement:
        """The environment's own start and goal; its seed is made of the key."""
        seed = int(np.asarray(jax.random.key_data(key)).ravel()[-1]) & 0x7FFFFFFF
        self.environment.reset(seed=seed)
        return self._measured()

    def step(self, action: np.ndarray) -> Measurement:
        self.environment.step(np.asarray(action, np.float32))
        return self._measured()

    def stop(self) -> None:
        """Closes the environment's windows; it can be reset after that."""
        self.environment.close()

    def _measured(self) -> Measurement:
        """The grip site is the gripper; the block's joint is a free joint, as the task's is."""
        model, data = self.environment.model, self.environment.data
        site, block = data.site('robot0:grip'), data.joint('object0:joint')
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jacobian, None, site.id)
        qpos: Any = np.concatenate([site.xpos, block.qpos], dtype=np.float32)
        qvel: Any = np.concatenate([jacobian @ data.qvel, block.qvel], dtype=np.float32)
        goal: Any = np.asarray(self.environment.goal, np.float32)
        none: Any = np.zeros(0, np.float32)
        state = State(qpos, qvel, none, np.zeros_like(qvel), goal)
        return Measurement(state, Reading(qpos, qvel, {}))


def make_gymnasium_systems(task: Task, count: int) -> list[GymnasiumFetchPush]:
    """Environments that can step in threads of their own; raises as `GymnasiumFetchPush` does."""
    return [GymnasiumFetchPush(task) for _ in range(count)]


def check_gymnasium(task: Task) -> Any:
    """The module gymnasium, with the environment registered, where the task has one there.

    Raises:
      ConfigError: another task than 'fetch_push', or Gymnasium-Robotics is not installed.
    """
    if task.name != 'fetch_push':
        allowed = "'fetch_push' when real_system is 'gymnasium'"
        raise ConfigError('task', task.name, allowed)
    try:
        import gymnasium
        import gymnasium_robotics
        from gymnasium_robotics.utils import mujoco_utils
    except ImportError as error:
        allowed = f"another without Gymnasium-Robotics: pip install -e '.[fetch]' ({error})"
        raise ConfigError('real_system', 'gymnasium', allowed) from error
    gymnasium.register_envs(gymnasium_robotics)
    hinge = mujoco.mjtJoint.mjJNT_HINGE
    if hinge != np.int32(hinge):  # in mujoco 4, and the package compares them
        mujoco_utils.mujoco = _IntegerJointTypes('mujoco')
    return gymnasium


class _IntegerJointTypes(types.ModuleType):
    """The module mujoco, but for its joint types, which are plain integers."""

    mjtJoint = types.SimpleNamespace(
        **{name: int(value) for name, value in mujoco.mjtJoint.__members__.items()}
    )

    def __getattr__(self, name: str):
        return getattr(mujoco, name)
