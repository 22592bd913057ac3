"""Gymnasium's half cheetah is to run: --task=experiments.robots.half_cheetah:make_task.

What `mpq new-task` wrote of half_cheetah.xml, with a cost, an observation and longer steps.
"""

import jax.numpy as jnp

import mpq_jax
from experiments.robots import file_of

MODEL = file_of('gymnasium', 'envs/mujoco/assets/half_cheetah.xml')
SPEED = 5.0  # m/s

reset = mpq_jax.starts_near(MODEL, None, position_noise=0.05, velocity_noise=0.05)


def observe(reading, variables):
    """Without the place along the track."""
    return jnp.concatenate([reading.qpos[1:], reading.qvel])


def cost(reading, variables, action):
    """Speed, back level; the smaller, the better."""
    level = 1.0 - jnp.cos(reading.qpos[2])
    return jnp.abs(reading.qvel[0] - SPEED) + 2.0 * level + 0.1 * jnp.sum(action**2)


def set_parameters(model, values):
    """Puts what the planner does not know into a mujoco.MjModel."""
    model.body_mass[:] *= values['mass_scale']
    model.body_inertia[:] *= values['mass_scale']


def make_task():
    return mpq_jax.Task(
        name='half_cheetah',
        mjcf=MODEL,
        episode_steps=100,
        control_timestep=0.05,  # seconds
        reset=reset,
        observe=observe,
        cost=cost,
        parameters=(mpq_jax.RandomizedParameter('mass_scale', 1.0, 0.8, 1.3),),
        set_parameters=set_parameters,
        settings={
            'planner.horizon': 16,
            'planner.num_samples': 48,
            'planner.noise': 'knots',  # of which there are 4: smooth, for motors
            'planner.noise_variance': 0.1,  # of actions in [-1, 1]
            'planner.temperature': 0.5,  # a guess; `mpq check` proposes 0.067
            'real_system': 'mujoco',
        },
    )
