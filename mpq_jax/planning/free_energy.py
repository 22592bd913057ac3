"""Weights of sampled plans and their free energy: a softmin over scores, and its value."""

import jax
import jax.numpy as jnp

from mpq_jax.config import PlannerConfig


def weights(config: PlannerConfig, scores: jax.Array) -> jax.Array:
    """softmax(-S / lambda) `[N]`; all zero when no score is finite.

    With `temperature_rule='target_ess'` lambda is what gives them that effective sample size; it is
    their own alone: the control term in the scores keeps `temperature`.
    """
    _, exponents = _exponents(config, scores)
    if config.temperature_rule == 'target_ess':
        exponents = exponents / _factor_of_ess(config, exponents)
    return jnp.where(jnp.isfinite(scores).any(), jax.nn.softmax(exponents), 0.0)


def misses_target(config: PlannerConfig, shares: jax.Array) -> jax.Array:
    """Whether the weights' effective sample size is over 1 % from a target: beyond the bounds."""
    if config.temperature_rule == 'fixed':
        return jnp.array(False)
    size = 1.0 / jnp.sum(shares**2)
    return ~(jnp.abs(size / config.target_ess - 1.0) < 0.01)


def _factor_of_ess(config: PlannerConfig, exponents: jax.Array) -> jax.Array:
    """lambda' / lambda between its bounds, by bisection of its logarithm: more, more samples."""

    def halve(_, bounds):
        low, high = bounds
        middle = 0.5 * (low + high)
        shares = jax.nn.softmax(exponents / jnp.exp(middle))
        few = 1.0 / jnp.sum(shares**2) < config.target_ess
        return jnp.where(few, middle, low), jnp.where(few, high, middle)

    low, high = jnp.log(config.temperature_low), jnp.log(config.temperature_high)
    low, high = jax.lax.fori_loop(0, 24, halve, (low, high))
    return jnp.exp(0.5 * (low + high))


def _exponents(config: PlannerConfig, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The least finite score (0 if none), and -(S - least) / lambda `[N]`; -inf if not finite.

    Shifted before the division: S / lambda may overflow where the differences do not.
    """
    finite = jnp.isfinite(scores)
    least = jnp.min(scores, where=finite, initial=jnp.inf)
    least = jnp.where(jnp.isfinite(least), least, 0.0)
    return least, jnp.where(finite, -(scores - least) / config.temperature, -jnp.inf)


def free_energy(config: PlannerConfig, scores: jax.Array, draws: int = 1) -> jax.Array:
    """V = -lambda log mean_n exp(-S_n / lambda) (Eq. 7).

    Non-finite samples count in N with weight zero. Pooling several model draws in one mean is
    a soft minimum over models; `pooling='per_draw'` averages one free energy a draw.
    """

    def one(scores):
        least, exponents = _exponents(config, scores)
        log_mean = jax.nn.logsumexp(exponents) - jnp.log(scores.shape[0])
        return least - config.temperature * log_mean

    if config.pooling == 'pooled' or draws == 1:
        return one(scores)
    return jnp.mean(jax.vmap(one, in_axes=1)(scores.reshape(-1, draws)))
