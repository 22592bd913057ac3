"""A task made of an environment of Playground's dm_control suite: its observation, its reward."""

import functools
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.suite import scaled_bodies
from mpq_jax.suite.playground.loading import load
from mpq_jax.suite.playground.seen import Sight, add_sensors, rows_read
from mpq_jax.tasks import Reading, Start, Task

# Of the dm_control suite's rewards, which lie in [0, 1]; ours.
_SUCCESS = 0.8
# The true model, unless the belief is asked for. Rewards lie in [0, 1]: temperatures are small.
_SETTINGS: dict[str, Any] = {
    'planner_model': 'true',
    'planner.horizon': 25,
    'planner.num_samples': 48,
    'planner.noise': 'knots',
    'planner.noise_variance': 0.3,
    'planner.temperature': 0.03,
    'planner.discount': 0.99,
    'learner.num_states': 320,
    'learner.epochs': 80,
}
_LONG_HORIZON = 100


@functools.cache
def make_task(name: str) -> Task:
    """The task of an environment, 'CartpoleSwingup'.

    The reward of Playground, r_t, is of the state after a step and the action that led there; the
    cost here, c(s_t, a_t) = -r(s_t, a_t), of the state before. A return is then the environment's
    own, but for the first state, which it does not pay, and the last, which is not paid here.
    Where the goal is a mocap body, its place `[1, 3]` is `variables`.

    Raises:
      TaskError: Playground is not installed, or has none of that name that can be a task (`load`).
    """
    environment = load(name).environment
    model, sight = plant(name)

    def data(reading: Reading, variables):
        return sight.data(reading, variables if len(variables) else jnp.zeros((0, 3)))

    def observe(reading: Reading, variables):
        return jnp.ravel(environment._get_obs(data(reading, variables), {}))

    def reward(reading: Reading, variables, action):
        return environment._get_reward(data(reading, variables), action, {}, {})

    def reset(key):
        start = environment.reset(key).data
        return Start(start.qpos, start.qvel, start.mocap_pos if environment.mj_model.nmocap else ())

    still = jnp.zeros(environment.action_size)
    goals = _goals(model)

    def variables_at(reading, position_of):
        return np.stack([position_of(name) for name in goals]) if goals else ()

    def mocap(variables):
        return {name: variables[i] for i, name in enumerate(goals)}

    return Task(
        name=f'playground:{name}',
        mjcf=model,
        episode_steps=int(environment._config.episode_length),
        control_timestep=float(environment.dt),
        reset=reset,
        variables_at=variables_at,
        mocap=mocap if goals else None,
        observe=observe,
        cost=lambda reading, variables, action: -reward(reading, variables, action),
        success=lambda reading, variables: reward(reading, variables, still) >= _SUCCESS,
        parameters=scaled_bodies.BELIEF,
        set_parameters=scaled_bodies.set_parameters,
        settings=_SETTINGS,
        long_horizon=_LONG_HORIZON,
        goal=(lambda variables: variables[0]) if goals else None,
    )


def _goals(model: mujoco.MjModel) -> list[str]:
    """The bodies that mocap moves, in the order of `mocap_pos`."""
    bodies = [i for i in range(model.nbody) if model.body_mocapid[i] >= 0]
    return [model.body(i).name for i in sorted(bodies, key=lambda i: model.body_mocapid[i])]


@functools.cache
def plant(name: str) -> tuple[mujoco.MjModel, Sight]:
    """Its model, with sensors for the poses that observation and reward read."""
    environment, spec = load(name)
    still = np.zeros(environment.mj_model.nu, np.float32)

    def read(data):
        return environment._get_obs(data, {}), environment._get_reward(data, still, {}, {})

    try:
        rows = rows_read(environment.mj_model, read)
    except TaskError as error:
        raise TaskError(f'task = {f"playground:{name}"!r}: {error}') from error
    spec = spec.copy()
    spec.compile()  # numbers its bodies, geoms and sites
    sight = add_sensors(spec, rows)
    return _with_numbers_of(environment, spec.compile()), sight


def _with_numbers_of(environment: Any, model: mujoco.MjModel) -> mujoco.MjModel:
    """A model of the environment's sizes with its numbers, which it may have changed."""
    theirs = environment.mj_model
    for field in dir(theirs):
        value = getattr(theirs, field)
        if field.startswith(('_', 'sensor')) or not isinstance(value, np.ndarray):
            continue
        if value.dtype.kind == 'f':
            getattr(model, field)[...] = value  # which fails where a size differs
    model.opt.timestep = environment.sim_dt
    return model
