"""Reacher and Pusher: distances, and a little for control."""

from typing import Any

import jax
import jax.numpy as jnp

from mpq_jax.suite.gymnasium import starts
from mpq_jax.suite.gymnasium.installed import Installed
from mpq_jax.tasks import Reading, View

REACHED = 0.05  # m; success is ours, the environments have none
ON_GOAL = 0.08  # m, the radius of the disc that marks Pusher's goal


def reacher(environment: Installed, discount: float) -> dict[str, Any]:
    c = environment.constants

    def way(reading: Reading) -> jax.Array:
        """From the target to the fingertip `[3]`, m."""
        return reading.sensors['fingertip'] - reading.sensors['target']

    def cost(reading: Reading, variables, action) -> jax.Array:
        effort = c['reward_control_weight'] * jnp.sum((environment.ctrl * action) ** 2)
        return c['reward_dist_weight'] * jnp.linalg.norm(way(reading)) + effort

    def observe(reading: Reading, variables) -> jax.Array:
        """`[10]`: cosines and sines of the joints, the target, velocities, the way in the plane."""
        angles = reading.qpos[:2]
        return jnp.concatenate([
            jnp.cos(angles), jnp.sin(angles), reading.qpos[2:], reading.qvel[:2], way(reading)[:2],
        ])  # fmt: skip

    return {
        'mjcf': environment.path,
        'views': {name: View('body', name) for name in ('fingertip', 'target')},
        'reset': starts.reacher(environment),
        'observe': observe,
        'cost': cost,
        'success': lambda reading, variables: jnp.linalg.norm(way(reading)) < REACHED,
    }


def pusher(environment: Installed, discount: float) -> dict[str, Any]:
    c = environment.constants

    def cost(reading: Reading, variables, action) -> jax.Array:
        tips, thing, goal = (reading.sensors[name] for name in ('tips_arm', 'object', 'goal'))
        near, far = jnp.linalg.norm(thing - tips), jnp.linalg.norm(thing - goal)
        effort = c['reward_control_weight'] * jnp.sum((environment.ctrl * action) ** 2)
        return c['reward_near_weight'] * near + c['reward_dist_weight'] * far + effort

    def observe(reading: Reading, variables) -> jax.Array:
        """`[23]`: the arm's joints and their velocities, the arm's tip, the object, the goal."""
        at = reading.sensors
        return jnp.concatenate([
            reading.qpos[:7], reading.qvel[:7], at['tips_arm'], at['object'], at['goal'],
        ])  # fmt: skip

    def success(reading: Reading, variables) -> jax.Array:
        way = reading.sensors['object'] - reading.sensors['goal']
        return jnp.linalg.norm(way[:2]) < ON_GOAL

    return {
        'mjcf': environment.path,
        'views': {name: View('body', name) for name in ('tips_arm', 'object', 'goal')},
        'reset': starts.pusher(environment),
        'observe': observe,
        'cost': cost,
        'success': success,
    }
