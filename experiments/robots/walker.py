"""dm_control's walker is to walk: --task=experiments.robots.walker:make_task.

What `mpq new-task` wrote of walker.xml, with a cost, an observation, longer steps, and coarser
physics in the planner.
"""

import jax.numpy as jnp

import mpq_jax
from experiments.robots import file_of

MODEL = file_of('dm_control', 'suite/walker.xml')
HEIGHT, SPEED = 1.2, 1.0  # m, m/s: dm_control's

reset = mpq_jax.starts_near(MODEL, None, position_noise=0.05, velocity_noise=0.05)


def observe(reading, variables):
    """Without the place along the track; qpos begins with height, place and pitch."""
    posture = jnp.concatenate([reading.qpos[:1], reading.qpos[2:]])
    return jnp.concatenate([posture, reading.qvel])


def cost(reading, variables, action):
    """Torso high, upright and at walking speed."""
    low = jnp.maximum(HEIGHT - reading.sensors['torso'][2], 0.0)
    tilt = 1.0 - reading.sensors['up'][2]
    slow = jnp.abs(reading.sensors['torso_subtreelinvel'][0] - SPEED)
    return 5.0 * low + tilt + slow + 0.02 * jnp.sum(action**2)


def set_parameters(model, values):
    """Puts what the planner does not know into a mujoco.MjModel."""
    model.body_mass[:] *= values['mass_scale']
    model.body_inertia[:] *= values['mass_scale']


def make_task():
    return mpq_jax.Task(
        name='walker',
        mjcf=MODEL,
        views={
            'torso': mpq_jax.View('body', 'torso', 'position'),
            'up': mpq_jax.View('body', 'torso', 'z_axis'),
        },
        episode_steps=125,
        control_timestep=0.04,  # seconds
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
            'planner.temperature': 0.5,  # a guess; `mpq check` proposes 0.26
            'planner_physics.timestep': 0.005,  # seconds, twice the model's own
            'real_system': 'mujoco',
        },
    )
