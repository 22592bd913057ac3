"""A plan's noise over time, and the coordinates in which plans are sampled, weighed and shifted.

A plan is theta `[K, nu]` and stands for the controls A theta `[H, nu]`; around it are sampled
A (theta + z), z ~ N(0, noise_variance), independent. What is exact of a control term or a mirror
step in theta is so whatever A is:

  white: A = 1, K = H; a plan is its controls.
  knots: A interpolates between K knots, the first at the first control and the last at the last
    (mjpc, hydrax); noise_variance is that of a knot, between them a line has less.
  coloured: A is the Cholesky factor of the correlations of noise whose power falls as 1 / f^beta
    (Pinneri et al., iCEM, 2020), flat below one period in H steps; noise_variance is that of each
    control. Made in a period of 2 H, cut to H: the last control knows nothing of the first.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from scipy.interpolate import CubicSpline

from mpq_jax.config import NoiseConfig


def size(config: NoiseConfig) -> int:
    """K, the coordinates of an action's plan."""
    return min(config.knots, config.horizon) if config.noise == 'knots' else config.horizon


def times(config: NoiseConfig) -> jax.Array:
    """When each coordinate counts `[K]`, in control steps from now."""
    if config.noise == 'knots':
        return jnp.asarray(_knot_times(config.horizon, size(config)), jnp.float32)
    return jnp.arange(config.horizon)


def controls(config: NoiseConfig, plans: jax.Array) -> jax.Array:
    """A theta `[..., H, nu]` of plans `[..., K, nu]`."""
    return plans if config.noise == 'white' else _along_time(_factor(config), plans)


def shift(config: NoiseConfig, plan: jax.Array) -> jax.Array:
    """The plan one control step later; `tail` says which control follows its end.

    'zero'; 'hold': the last one again; 'prior': what the noise would be, given those before: 0 if
    white, of coloured noise its conditional mean, of knots on the way to a knot at 0, were there
    one more. Knots take the values of the curve that was, one step on.
    """
    if config.noise == 'knots':
        return _along_time(_knot_shift(config), plan)
    if config.noise == 'white':
        last = plan[-1:] if config.tail == 'hold' else jnp.zeros_like(plan[-1:])
        return jnp.concatenate([plan[1:], last])
    before = controls(config, plan)
    last = before[-1:] if config.tail == 'hold' else jnp.zeros_like(before[-1:])
    after = jnp.concatenate([before[1:], last])
    moved = coordinates(config, after)
    return moved.at[-1].set(0.0) if config.tail == 'prior' else moved


def shift_spread(config: NoiseConfig, spread: jax.Array, entering: jax.Array) -> jax.Array:
    """Covariances `[K, ...]` one control step later, `entering` `[...]` behind the last.

    Those of knots are between their neighbours', as far as the knots move.
    """
    moved = jnp.concatenate([spread[1:], entering[None]])
    if config.noise != 'knots':
        return moved
    share = _spacings(config.horizon, size(config))
    return (1.0 - share) * spread + share * moved


def coordinates(config: NoiseConfig, controls: jax.Array) -> jax.Array:
    """theta of controls `[H, nu]` under coloured noise."""
    return jax.scipy.linalg.solve_triangular(_factor(config), controls, lower=True)


def _along_time(matrix, plans: jax.Array) -> jax.Array:
    """One product for all plans `[..., K, nu]`."""
    return jnp.einsum('hk,...ku->...hu', matrix, plans, precision='highest')


def _factor(config: NoiseConfig) -> jax.Array:
    """A `[H, K]`."""
    if config.noise == 'knots':
        return jnp.asarray(_interpolation(config.horizon, size(config), config.interpolation))
    return jnp.linalg.cholesky(correlations(config.horizon, config.colour))


def correlations(horizon: int, colour) -> jax.Array:
    """Of coloured noise at H control steps `[H, H]`; ones on the diagonal."""
    frequencies = np.maximum(np.fft.rfftfreq(2 * horizon), 1.0 / max(horizon, 2))
    lags = jnp.fft.irfft((frequencies / frequencies[0]) ** -colour, 2 * horizon)
    steps = np.arange(horizon)
    return (lags / lags[0])[np.abs(steps[:, None] - steps)]


def _knot_times(horizon: int, knots: int) -> np.ndarray:
    return np.linspace(0.0, horizon - 1.0, knots)


def _spacings(horizon: int, knots: int) -> float:
    """One control step, in distances between knots."""
    if knots == 1:  # constant: nothing enters before its end
        return float(horizon == 1)
    return (knots - 1) / (horizon - 1)


@functools.cache
def _interpolation(horizon: int, knots: int, kind: str) -> np.ndarray:
    return _at(np.arange(horizon), horizon, knots, kind).astype(np.float32)


def _at(instants: np.ndarray, horizon: int, knots: int, kind: str) -> np.ndarray:
    """The curve at some instants, as weights of the knots `[len(instants), K]`."""
    if knots == 1:
        return np.ones((len(instants), 1))
    places, unit = _knot_times(horizon, knots), np.eye(knots)
    if kind == 'cubic':
        return CubicSpline(places, unit, bc_type='natural')(instants)
    return np.stack([np.interp(instants, places, column) for column in unit], axis=1)


def _knot_shift(config: NoiseConfig) -> np.ndarray:
    """The knots one control step later as weights of those before `[K, K]`."""
    return _shift_matrix(config.horizon, size(config), config.interpolation, config.tail)


@functools.cache
def _shift_matrix(horizon: int, knots: int, kind: str, tail: str) -> np.ndarray:
    instants = np.minimum(_knot_times(horizon, knots) + 1.0, max(horizon - 1, 0))
    matrix = _at(instants, horizon, knots, kind)
    if knots > 1 or horizon == 1:
        kept = {'zero': 0.0, 'hold': 1.0, 'prior': 1.0 - _spacings(horizon, knots)}[tail]
        matrix[-1] = 0.0
        matrix[-1, -1] = kept
    return matrix.astype(np.float32)
