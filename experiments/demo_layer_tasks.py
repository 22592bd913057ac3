"""The tasks of `experiments.demo_layer`: the suite's, with success where a pole stays upright.

A variable counts the control steps since the pole was last away from upright by 12 degrees or more.
"""

import dataclasses

import jax
import jax.numpy as jnp

from mpq_jax.suite import cartpole_swingup, pendulum
from mpq_jax.tasks import Start, Task

LIMIT, SECONDS = 12.0, 2.0  # degrees from upright; at the end of an episode


def make_cartpole() -> Task:
    """PETS's cartpole, whose angle is 0 hanging."""
    return _counting(cartpole_swingup.make_task(), cartpole_angle)


def make_pendulum() -> Task:
    """Gym's pendulum, whose angle is 0 upright."""
    return _counting(pendulum.make_task(), pendulum_angle)


def cartpole_angle(qpos: jax.Array) -> jax.Array:
    return qpos[..., 1] - jnp.pi


def pendulum_angle(qpos: jax.Array) -> jax.Array:
    return qpos[..., 0]


def is_upright(angle: jax.Array) -> jax.Array:
    """Whether an angle that is 0 upright, in radians, is within the limit."""
    return jnp.abs(pendulum.wrap(angle)) < jnp.deg2rad(LIMIT)


def _counting(task: Task, angle_of) -> Task:
    """The task with a counter of upright control steps, which decides success and nothing else."""

    def reset(key) -> Start:
        return task.reset(key)._replace(variables=jnp.int32(0))

    def advance(reading, count, action):
        return jnp.where(is_upright(angle_of(reading.qpos)), count + 1, 0)

    def success(reading, count):
        enough = count >= round(SECONDS / task.control_timestep)
        return is_upright(angle_of(reading.qpos)) & enough

    return dataclasses.replace(
        task, name=f'{task.name}_upright', reset=reset, advance=advance, success=success
    )
