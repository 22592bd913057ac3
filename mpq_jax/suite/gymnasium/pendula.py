"""InvertedPendulum and InvertedDoublePendulum: paid for not falling.

What a step alive is worth is the cost of having fallen, worth / (1 - discount): of discounted sums
the two differ by a constant alone.
"""

from typing import Any

import jax
import jax.numpy as jnp

from mpq_jax.suite.gymnasium.installed import Installed
from mpq_jax.suite.gymnasium.starts import near_initial
from mpq_jax.tasks import Reading, View, cost_to_go

# Of Gymnasium's InvertedPendulumEnv and InvertedDoublePendulumEnv, where they are no arguments.
LARGEST_ANGLE = 0.2  # rad
LEAST_HEIGHT = 1.0  # m, of the tip, which is at 1.2 when upright
TARGET_HEIGHT = 2.0  # m, which it cannot reach
X_WEIGHT, HINGE_WEIGHT, HINGE2_WEIGHT = 0.01, 1e-3, 5e-3
SPEED_LIMIT = 10.0  # of observed velocities


def inverted_pendulum(environment: Installed, discount: float) -> dict[str, Any]:
    """Success is to be upright, which it is until it terminates."""

    def fallen(reading: Reading, variables) -> jax.Array:
        return jnp.abs(reading.qpos[1]) > LARGEST_ANGLE

    return {
        'mjcf': environment.path,
        'reset': near_initial(environment, normal_velocity=False),
        'observe': lambda reading, variables: jnp.concatenate([reading.qpos, reading.qvel]),
        'cost': lambda reading, variables, action: jnp.zeros_like(reading.qpos[0]),
        'terminated': fallen,
        'terminal_cost': cost_to_go(1.0, discount),
        'success': lambda reading, variables: ~fallen(reading, variables),
    }


def inverted_double_pendulum(environment: Installed, discount: float) -> dict[str, Any]:
    """Success is to be upright, which it is until it terminates.

    Its ninth observation, the force of the cart's limits, is not in a reading: it is left out.
    """

    def cost(reading: Reading, variables, action) -> jax.Array:
        """0.01 x^2 + (z - 2)^2 of the tip, and 0.001 w1^2 + 0.005 w2^2 of the hinges."""
        x, _, z = reading.sensors['tip']
        _, first, second = reading.qvel
        distance = X_WEIGHT * x**2 + (z - TARGET_HEIGHT) ** 2
        return distance + HINGE_WEIGHT * first**2 + HINGE2_WEIGHT * second**2

    def observe(reading: Reading, variables) -> jax.Array:
        """`[8]`: the cart's place, sines and cosines of the angles, velocities."""
        angles, qvel = reading.qpos[1:], jnp.clip(reading.qvel, -SPEED_LIMIT, SPEED_LIMIT)
        return jnp.concatenate([reading.qpos[:1], jnp.sin(angles), jnp.cos(angles), qvel])

    def fallen(reading: Reading, variables) -> jax.Array:
        return reading.sensors['tip'][2] <= LEAST_HEIGHT

    return {
        'mjcf': environment.path,
        'views': {'tip': View('site', 'tip')},
        'reset': near_initial(environment, normal_velocity=True),
        'observe': observe,
        'cost': cost,
        'terminated': fallen,
        'terminal_cost': cost_to_go(environment.constants['healthy_reward'], discount),
        'success': lambda reading, variables: ~fallen(reading, variables),
    }
