"""How well an ensemble foretold an episode that it had not seen."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.dynamics import State
from mpq_jax.dynamics.learned import Ensemble, LearnedDynamics, mean_step
from mpq_jax.learning.replay_buffer import Transition

_NORMAL_90 = 1.6448536  # a normal variable is within so many deviations 90 times in 100


class ModelErrors(NamedTuple):
    """Of one episode; columns of metrics.csv."""

    # Share of the outcomes, over steps and coordinates, in the predicted 90 % band: of a normal
    # distribution with the mixture's mean and variance.
    model_coverage: jax.Array
    # The networks' mean, and no more than that, some steps ahead with the actions taken: root mean
    # square, in that of predicting that nothing moves; the mean over coordinates.
    model_error: jax.Array


def no_errors() -> ModelErrors:
    """Before there is a model."""
    return ModelErrors(jnp.float32(jnp.nan), jnp.float32(jnp.nan))


def model_errors(
    dynamics: LearnedDynamics, models: Ensemble, episode: Transition, valid: jax.Array, ahead: int
) -> ModelErrors:
    """Of transitions `[T]`, of which a prefix is valid; errors `ahead` steps from each state.

    NaN where the episode is shorter.
    """
    coverage = _coverage(dynamics, models, episode, valid)
    return ModelErrors(coverage, _error_ahead(dynamics, models, episode, valid, ahead))


def predictive_moments(means: jax.Array, deviations: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and variance `[no]` of an equal mixture of normals `[D, no]`.

    The mean of the variances, and the variance of the means.
    """
    return means.mean(axis=0), (deviations**2).mean(axis=0) + means.var(axis=0)


def _coverage(dynamics: LearnedDynamics, models: Ensemble, episode: Transition, valid):
    def one(transition: Transition):
        state, action = transition.state, transition.action

        def errors_of(model: Ensemble):
            mean, deviation = dynamics.predicted(model, state, action)
            target = dynamics.target(model.physics, state, action, transition.next_state)
            return mean - target, deviation  # members correct different physics: compare errors

        mean, variance = predictive_moments(*jax.vmap(errors_of)(models))
        return jnp.abs(mean) <= _NORMAL_90 * jnp.sqrt(variance)

    inside = jax.vmap(one)(episode)
    return jnp.mean(inside, where=valid[:, None])


def _error_ahead(dynamics: LearnedDynamics, models: Ensemble, episode: Transition, valid, ahead):
    count = len(valid)
    if ahead > count:
        return jnp.float32(jnp.nan)
    starts = jnp.arange(count - ahead + 1)
    whole = valid[starts + ahead - 1]  # valid is a prefix

    def at(leaf_tree, places):
        return jax.tree.map(lambda x: x[places], leaf_tree)

    begin: State = at(episode.state, starts)
    end: State = at(episode.next_state, starts + ahead - 1)

    def step(states, i):
        return mean_step(dynamics, models, states, episode.action[starts + i]), None

    foretold, _ = jax.lax.scan(step, begin, jnp.arange(ahead))
    change = jax.vmap(dynamics.coordinates.change)
    squares = [
        jnp.mean(x**2, axis=0, where=whole[:, None])
        for x in (change(foretold, end), change(begin, end))
    ]
    moves = squares[1] > 0
    ratio = jnp.sqrt(squares[0] / jnp.where(moves, squares[1], 1.0))
    return jnp.mean(ratio, where=moves)
