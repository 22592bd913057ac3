"""Gymnasium-Robotics' FetchPush as a real system: its arm, meshes, starts and 0.002 s physics.

Needs the extra `fetch`. The planner's state is read from the environment, step by step; what
the planner believes stays the task's own model.
"""

import types

import mujoco
import numpy as np

from mpq_jax.base.validation import ConfigError
from mpq_jax.environments.adaptors.environment import Outcome, Place
from mpq_jax.environments.adaptors.gymnasium_environment import make, module

IDENTITY = 'FetchPush-v4'


class FetchPushEnvironment:
    """Seen as the task `fetch_push` sees it: the gripper as three slides, and the block."""

    def __init__(self, identity: str, name: str):
        """`identity` is 'FetchPush-v4'; `name` the run's real_system.

        Raises:
          ConfigError: Gymnasium-Robotics is not installed.
        """
        _register(name)
        self.environment = make(identity, name).unwrapped
        self.step_seconds = float(self.environment.dt)
        ones = np.ones(4)
        self.action_range = -ones, ones

    def reset(self, seed: int) -> None:
        self.environment.reset(seed=seed)

    def step(self, action: np.ndarray) -> Outcome:
        _, reward, terminated, truncated, _ = self.environment.step(action.astype(np.float32))
        return Outcome(float(reward), bool(terminated), bool(terminated or truncated))

    def place(self) -> Place:
        """The grip site is the gripper; the block's joint is a free joint, as the task's is."""
        model, data = self.environment.model, self.environment.data
        site, block = data.site('robot0:grip'), data.joint('object0:joint')
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jacSite(model, data, jacobian, None, site.id)
        qpos = np.concatenate([site.xpos, block.qpos])
        qvel = np.concatenate([jacobian @ data.qvel, block.qvel])
        return Place(qpos, qvel, np.zeros(0), np.zeros_like(qvel), np.zeros(4))

    def position_of(self, name: str) -> np.ndarray:
        return np.array({'goal': self.environment.goal}[name])

    def draw(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        return self.environment.render()

    def close(self) -> None:
        self.environment.close()


def _register(name: str) -> None:
    """Makes Gymnasium know the environments. Raises ConfigError where they are not installed."""
    gymnasium = module(name)
    try:
        import gymnasium_robotics
        from gymnasium_robotics.utils import mujoco_utils
    except ImportError as error:
        allowed = f"another without Gymnasium-Robotics: pip install 'mpq_jax[fetch]' ({error})"
        raise ConfigError('real_system', name, allowed) from error
    gymnasium.register_envs(gymnasium_robotics)
    hinge = mujoco.mjtJoint.mjJNT_HINGE
    if hinge != np.int32(hinge):  # in mujoco 4, and the package compares them
        mujoco_utils.mujoco = _IntegerJointTypes('mujoco')


class _IntegerJointTypes(types.ModuleType):
    """The module mujoco, but for its joint types, which are plain integers."""

    mjtJoint = types.SimpleNamespace(
        **{name: int(value) for name, value in mujoco.mjtJoint.__members__.items()}
    )

    def __getattr__(self, name: str):
        return getattr(mujoco, name)
