"""Tasks for Gymnasium's MuJoCo environments against the environments themselves."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mpq_jax.base.validation import TaskError
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.config import PhysicsConfig
from mpq_jax.suite.gymnasium import ARGUMENTS, IDS, make_task
from mpq_jax.tasks import Reading
from mpq_jax.tasks.check import check_task
from mpq_jax.tasks.plant import sensor_slices

gymnasium = pytest.importorskip('gymnasium')
pytest.importorskip('gymnasium.envs.mujoco.half_cheetah_v5')

STEPS = 60
# What of a reading its environment takes from MuJoCo's derived fields, which are of a moment
# before qpos: (object, field) of MjData.
DERIVED = {
    'tip': lambda model, data: data.site('tip').xpos,
    'centre_of_mass': lambda model, data: model.body_mass @ data.xipos / model.body_mass.sum(),
}
# How far, at most, observation and reward of one instant are from those, over what was stepped.
LAG = {
    'InvertedDoublePendulum-v5': (0.0, 0.05),
    'Reacher-v5': (0.02, 0.02),
    'Pusher-v5': (0.05, 0.05),
    'Ant-v5': (0.0, 0.6),
    'Humanoid-v5': (0.0, 0.6),
}


@functools.cache
def task_of(environment_id):
    task = make_task(environment_id)
    check_task(task)
    return task


def make_environment(environment_id):
    return gymnasium.make(
        environment_id, disable_env_checker=True, **ARGUMENTS[environment_id]
    ).unwrapped


def lagging(task, environment):
    """A reading of the environment's own data, derived fields as it finds them."""
    model, data = environment.model, environment.data
    sensors = {
        name: np.array(DERIVED.get(name, lambda m, d: d.body(name).xpos)(model, data))
        for name in sensor_slices(load_model(task, PhysicsConfig()))
    }
    return Reading(data.qpos.copy(), data.qvel.copy(), sensors)


def of_one_instant(task, model, environment):
    """A reading as our backends make it, in double precision."""
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = environment.data.qpos, environment.data.qvel
    mujoco.mj_forward(model, data)
    places = sensor_slices(model)
    sensed = {name: data.sensordata[place].copy() for name, place in places.items()}
    return Reading(data.qpos.copy(), data.qvel.copy(), sensed)


def seen(environment_id, observation):
    """What of an environment's observation the task has."""
    return observation[:-1] if environment_id == 'InvertedDoublePendulum-v5' else observation


def alive_bonus(task, environment):
    return getattr(environment, '_healthy_reward', 1.0) if task.terminated is not None else 0.0


def reward(task, environment, functions, before, after, variables, action):
    """r(s_t, a_t, s_{t+1}): the state's part at s_{t+1}, the action's, and being alive."""
    none = np.zeros_like(action)
    following = functions['advance'](before, variables, action)
    states = -functions['cost'](after, following, none)
    actions = functions['cost'](after, following, none) - functions['cost'](
        after, following, action
    )
    ended = task.terminated is not None and bool(functions['terminated'](after, following))
    return states + actions + alive_bonus(task, environment) * (not ended), ended, following
