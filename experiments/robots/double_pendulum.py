"""Gymnasium's double pendulum swings up: --task=experiments.robots.double_pendulum:make_task.

What `mpq new-task` wrote of inverted_double_pendulum.xml, with a cost, an observation, starts that
hang down and longer steps.
"""

import jax
import jax.numpy as jnp

import mpq_jax
from experiments.robots import file_of

MODEL = file_of('gymnasium', 'envs/mujoco/assets/inverted_double_pendulum.xml')
TOP = 1.2  # m, of the tip


def reset(key):
    angles = jnp.array([0.0, jnp.pi, 0.0])  # cart, first pole, second against the first
    return mpq_jax.Start(angles + 0.1 * jax.random.normal(key, (3,)), jnp.zeros(3))


def observe(reading, variables):
    """Angles by sine and cosine."""
    place, angles = reading.qpos[:1], reading.qpos[1:]
    return jnp.concatenate([place, jnp.sin(angles), jnp.cos(angles), reading.qvel / 5])


def cost(reading, variables, action):
    """The tip up, and at rest."""
    below = TOP - reading.sensors['tip'][2]
    speeds = 0.01 * jnp.sum(reading.qvel[1:] ** 2)
    return below**2 + reading.qpos[0] ** 2 + speeds + 0.01 * action[0] ** 2


def success(reading, variables):
    return reading.sensors['tip'][2] > 0.9 * TOP


def set_parameters(model, values):
    """Puts what the planner does not know into a mujoco.MjModel."""
    model.body_mass[:] *= values['mass_scale']
    model.body_inertia[:] *= values['mass_scale']


def make_task():
    return mpq_jax.Task(
        name='double_pendulum',
        mjcf=MODEL,
        views={'tip': mpq_jax.View('site', 'tip', 'position')},
        episode_steps=100,
        control_timestep=0.04,  # seconds
        reset=reset,
        observe=observe,
        cost=cost,
        success=success,
        parameters=(mpq_jax.RandomizedParameter('mass_scale', 1.0, 0.8, 1.3),),
        set_parameters=set_parameters,
        settings={
            'planner.horizon': 16,
            'planner.num_samples': 48,
            'planner.noise': 'knots',  # of which there are 4: smooth, for motors
            'planner.noise_variance': 0.1,  # of actions in [-1, 1]
            'planner.temperature': 0.5,  # a guess; `mpq check` proposes 0.057
            'real_system': 'mujoco',
        },
    )
