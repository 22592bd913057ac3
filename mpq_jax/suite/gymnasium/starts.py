"""Starts, and what variables begin with, in JAX: the environments' own distributions."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mpq_jax.suite.gymnasium.installed import Installed
from mpq_jax.tasks import Start


def near_initial(
    environment: Installed, *, normal_velocity: bool, variables: object = ()
) -> Callable[[jax.Array], Start]:
    """qpos0 + U(-s, s) of every entry, also of quaternions; velocities U(-s, s), or s N(0, 1)."""
    scale = environment.constants['reset_noise_scale']
    qpos0 = jnp.asarray(environment.qpos0)

    def reset(key: jax.Array) -> Start:
        keys = jax.random.split(key)
        moved = scale * jax.random.uniform(keys[0], qpos0.shape, minval=-1.0)
        draw = jax.random.normal if normal_velocity else _symmetric
        return Start(qpos0 + moved, scale * draw(keys[1], (environment.nv,)), variables)

    return reset


def reacher(environment: Installed) -> Callable[[jax.Array], Start]:
    """The arm within 0.1 rad of 0, nearly at rest; a target in the disc of 0.2 m."""
    qpos0 = jnp.asarray(environment.qpos0)

    def reset(key: jax.Array) -> Start:
        keys = jax.random.split(key, 3)
        arm = qpos0[:2] + 0.1 * _symmetric(keys[0], (2,))
        target = until(keys[1], (0.2, 0.2), lambda at: jnp.linalg.norm(at) < 0.2)
        moving = 0.005 * _symmetric(keys[2], (2,))
        return Start(jnp.concatenate([arm, target]), jnp.append(moving, jnp.zeros(2)))

    return reset


def pusher(environment: Installed) -> Callable[[jax.Array], Start]:
    """The arm at qpos0, nearly at rest; the object at least 0.17 m from the goal."""
    qpos0, still = jnp.asarray(environment.qpos0), environment.nv - 4

    def reset(key: jax.Array) -> Start:
        keys = jax.random.split(key)
        shift = jnp.array([-0.15, 0.0])  # from [-0.15, 0.15] to [-0.3, 0]
        place = until(keys[0], (0.15, 0.2), lambda at: jnp.linalg.norm(at + shift) > 0.17) + shift
        qpos = qpos0.at[-4:].set(jnp.append(place, jnp.zeros(2)))
        moving = 0.005 * _symmetric(keys[1], (still,))
        return Start(qpos, jnp.append(moving, jnp.zeros(4)))

    return reset


def until(key, half_sizes, accepts) -> jax.Array:
    """Uniform in a box about 0 with these half sides, drawn until `accepts(place)`."""
    half = jnp.array(half_sizes)

    def redraw(carry):
        key, drawn = jax.random.split(carry[0])
        return key, half * _symmetric(drawn, half.shape)

    return jax.lax.while_loop(lambda carry: ~accepts(carry[1]), redraw, redraw((key, None)))[1]


def _symmetric(key, shape) -> jax.Array:
    return jax.random.uniform(key, shape, minval=-1.0)
