"""Which parameters did best in validation."""

import jax
import jax.numpy as jnp

from mpq_jax.learning.algorithm import Algorithm, MemberState
from mpq_jax.planning.agent import QParams


def none_yet(algorithm: Algorithm, state: MemberState, episodes: int) -> MemberState:
    """The state before its first validation, of so many episodes."""
    unknown = jnp.full(episodes, jnp.nan)
    return state._replace(best_params=algorithm.params(state), best_returns=unknown)


def keep_best(algorithm: Algorithm, state: MemberState, returns: jax.Array) -> MemberState:
    """Takes the present parameters for the best, unless those before beat them beyond noise.

    `returns` `[E]` are theirs in the validation episodes, which always start in the same states:
    the best before stay where the mean of the paired differences exceeds two of its standard
    errors. One episode shows no noise, and then the present parameters are taken.
    """
    lead = state.best_returns - returns
    count = returns.shape[0]
    error = jnp.std(lead, ddof=min(1, count - 1)) / jnp.sqrt(count)
    ahead = (count > 1) & (jnp.mean(lead) > 2.0 * error)
    taken = jnp.isfinite(returns).all() & ~ahead  # NaN leads nobody
    best = _chosen(taken, algorithm.params(state), state.best_params)
    return state._replace(
        best_params=best, best_returns=jnp.where(taken, returns, state.best_returns)
    )


def best_params(algorithm: Algorithm, state: MemberState) -> QParams:
    """The parameters of the best validation, the last where there was none."""
    known = jnp.isfinite(state.best_returns).all() & (state.best_returns.size > 0)
    return _chosen(known, state.best_params, algorithm.params(state))


def _chosen(condition: jax.Array, yes, no):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
