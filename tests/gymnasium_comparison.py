"""Gymnasium's environments beside our tasks for them: readings, random actions, differences."""

import functools
from typing import NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.suite.gymnasium import ARGUMENTS, make_task
from mpq_jax.tasks import Reading
from mpq_jax.tasks.check import check_task
from mpq_jax.tasks.plant import sensor_slices

STEPS = 60
# What of a reading its environment takes from MuJoCo's derived fields, which are of a moment
# before qpos: (object, field) of MjData.
DERIVED = {
    'tip': lambda model, data: data.site('tip').xpos,
    'centre_of_mass': lambda model, data: model.body_mass @ data.xipos / model.body_mass.sum(),
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


def lagging(task, model, environment):
    """A reading of the environment's own data, derived fields as it finds them."""
    data = environment.data
    sensors = {
        name: np.array(
            DERIVED[name](environment.model, data) if name in DERIVED else data.body(name).xpos
        )
        for name in sensor_slices(model)
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


def to_actuators(task, action):
    """In the environment's units."""
    return action * load_model(task, PhysicsConfig()).actuator_ctrlrange[:, 1]


def functions_of(task):
    """Compiled, in double precision: numbers can be compared to the last digits."""
    names = ('observe', 'cost', 'advance', 'terminated', 'terminal_cost')
    found = {name: getattr(task, name) for name in names if getattr(task, name) is not None}
    found.setdefault('advance', lambda reading, variables, action: variables)
    found.setdefault('terminated', lambda reading, variables: jnp.array(False))
    return {name: jax.jit(function) for name, function in found.items()}


def bonus(environment):
    """What the environment pays for a step alive, which no cost of ours has."""
    default = 1.0 if 'InvertedPendulum' in type(environment).__name__ else 0.0
    return getattr(environment, '_healthy_reward', default)


class Compared(NamedTuple):
    """Ours, minus the environment's."""

    observation: float  # largest
    reward: float
    terminations: int  # of the environment; ours were the same
    differing: int  # terminations of one of the two alone


def compare(environment_id, read, steps=STEPS):
    """Random actions from the environment's starts, read by `read(task, model, environment)`."""
    task, environment = task_of(environment_id), make_environment(environment_id)
    model, generator = load_model(task, PhysicsConfig()), np.random.default_rng(0)
    start = variables = task.reset(jax.random.key(0)).variables
    apart, ends, differing = [], 0, 0
    with jax.enable_x64(True):
        functions = functions_of(task)
        environment.reset(seed=0)
        before = read(task, model, environment)
        for _ in range(steps):
            action = generator.uniform(-1, 1, model.nu)
            observation, reward, ended, _, _ = environment.step(to_actuators(task, action))
            after = read(task, model, environment)
            variables = functions['advance'](before, variables, action)
            ours = -functions['cost'](after, variables, action)
            over = bool(functions['terminated'](after, variables))
            difference = functions['observe'](after, variables) - seen(environment_id, observation)
            apart.append((
                np.abs(difference).max(), abs(ours + bonus(environment) * (not over) - reward)
            ))  # fmt: skip
            ends, differing, before = ends + ended, differing + (over != ended), after
            if ended:
                environment.reset()
                before, variables = read(task, model, environment), start
    environment.close()
    return Compared(*np.max(apart, axis=0), ends, differing)
