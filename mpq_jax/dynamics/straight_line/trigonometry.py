"""Sine and cosine that a compiler turns into vector instructions, to 1.2e-7 of the true values.

XLA calls a scalar function for each number on a CPU, 4 to 5 ns; this takes 0.7 ns for both. The
argument is reduced to [-pi/4, pi/4] in three steps (Cody and Waite), up to about 1e5 to full
precision; there, the polynomials of Moshier's Cephes library (sinf, cosf). NaN where the argument
is not finite.
"""

import jax
import jax.numpy as jnp
import numpy as np


def _float32(values: list[float]) -> list[np.float32]:
    return [np.float32(value) for value in values]


_PI_HALVES = _float32([1.5703125, 4.837512969970703125e-4, 7.549789954891882e-8])
_SINE = _float32([-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4])
_COSINE = _float32([4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5])


def sin(angle: jax.Array) -> jax.Array:
    """Of a float32 array, elementwise."""
    sine, cosine, quarter = _reduced(jnp.asarray(angle))
    value = jax.lax.select(quarter & 1 == 1, cosine, sine)
    return jax.lax.select(quarter & 2 == 2, -value, value)


def cos(angle: jax.Array) -> jax.Array:
    """Of a float32 array, elementwise."""
    sine, cosine, quarter = _reduced(jnp.asarray(angle))
    value = jax.lax.select(quarter & 1 == 1, sine, cosine)
    return jax.lax.select((quarter + 1) & 2 == 2, -value, value)


def _reduced(angle: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Sine and cosine of what is left of whole quarters of a turn, and which quarter it is."""
    turns = jax.lax.round(angle * np.float32(2.0 / np.pi), jax.lax.RoundingMethod.TO_NEAREST_EVEN)
    rest = angle
    for part in _PI_HALVES:
        rest = rest - turns * part
    square = rest * rest
    sine = rest + rest * square * (_SINE[0] + square * (_SINE[1] + square * _SINE[2]))
    bend = _COSINE[0] + square * (_COSINE[1] + square * _COSINE[2])
    cosine = 1.0 - 0.5 * square + square * square * bend
    return sine, cosine, turns.astype(jnp.int32)
