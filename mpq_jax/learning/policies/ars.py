"""Augmented random search: a linear policy of normalised observations, moved along directions.

Mania, Guy and Recht, *Simple random search provides a competitive approach to reinforcement
learning* (2018), V2 and V2-t. An iteration is 2 b training episodes: each of b random directions is
tried on both sides; what they return says how far the policy goes along them.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import ARSConfig, Config
from mpq_jax.dynamics import Model, Simulator, all_finite
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.policy_agent import PolicyAgent


class Moments(NamedTuple):
    """Of observations, over all episodes."""

    total: jax.Array  # how many
    mean: jax.Array  # [no]
    squares: jax.Array  # [no], sums of squared deviations from the mean


class LinearPolicy(NamedTuple):
    """What the policy plays with."""

    weights: jax.Array  # [nu, no]
    tried: jax.Array  # [nu, no], beside them: the present direction with its sign and size
    mean: jax.Array  # [no]
    deviation: jax.Array  # [no]


class ARSState(NamedTuple):
    """What is learned, and how far the iteration is."""

    config: ARSConfig  # the member's own numbers
    policy: LinearPolicy  # normalises by what was seen before the iteration
    seen: Moments
    returns: jax.Array  # [2 b], of a direction's two sides next to each other; NaN: counts nothing
    episodes: jax.Array  # of the iteration, so far
    iteration: jax.Array


def make_ars(config: Config, simulator: Simulator) -> Algorithm:
    """Raises ConfigError where learning rounds are not iterations."""
    wanted = 2 * config.ars.directions
    if config.learner.episodes_per_round != wanted:
        raise ConfigError(
            'learner.episodes_per_round', config.learner.episodes_per_round,
            f"{wanted} when agent is 'ars' and ars.directions = {config.ars.directions}: both "
            'sides of each',
        )  # fmt: skip

    def agent(policy) -> PolicyAgent:
        return PolicyAgent(simulator, None, None, config.execution, policy)

    return Algorithm(
        collect=agent(try_direction),
        play=agent(act),
        init=functools.partial(_init, simulator.action_size),
        params=lambda state: state.learner.policy,
        store=functools.partial(_store, simulator.task.episode_steps),
        update=_update,
    )


def act(params: LinearPolicy, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The policy `[nu]`, before it is clipped."""
    return params.weights @ ((observation - params.mean) / params.deviation)


def try_direction(params: LinearPolicy, observation: jax.Array, key: jax.Array) -> jax.Array:
    """The policy as the present episode tries it."""
    return act(params._replace(weights=params.weights + params.tried), observation, key)


def direction(key: jax.Array, own: ARSState, number) -> jax.Array:
    """The iteration's direction of that number `[nu, no]`, standard normal; of a member's key."""
    key = keys.stream(key, 'learn', own.iteration, number)
    return jax.random.normal(key, own.policy.weights.shape)


def _before_an_episode(key: jax.Array, own: ARSState) -> ARSState:
    """With what the next one tries: a direction's two signs come one after the other."""
    sign = jnp.where(own.episodes % 2 == 0, 1.0, -1.0)
    tried = sign * own.config.noise * direction(key, own, own.episodes // 2)
    return own._replace(policy=own.policy._replace(tried=tried))


def joined(before: Moments, observations: jax.Array, valid: jax.Array) -> Moments:
    """With more observations `[T, no]` (Chan, Golub and LeVeque); not with any that would make
    the moments infinite."""
    added = jnp.sum(valid)
    here = jnp.where(valid[:, None], observations, 0.0)
    mean = here.sum(axis=0) / jnp.maximum(added, 1)
    squares = jnp.sum(jnp.where(valid[:, None], (here - mean) ** 2, 0.0), axis=0)
    total = before.total + added
    share = added / jnp.maximum(total, 1)
    apart = mean - before.mean
    after = Moments(
        total,
        before.mean + share * apart,
        before.squares + squares + before.total * share * apart**2,
    )
    sound = all_finite(after)
    return jax.tree.map(lambda new, old: jnp.where(sound, new, old), after, before)


def _init(
    action_size: int, numbers: Numbers, key, models: Model, transition: Transition
) -> MemberState:
    size = transition.observation.shape
    weights = jnp.zeros((action_size, *size))
    own = ARSState(
        config=numbers.ars,
        policy=LinearPolicy(weights, weights, jnp.zeros(size), jnp.ones(size)),
        seen=Moments(jnp.float32(0.0), jnp.zeros(size), jnp.zeros(size)),
        returns=jnp.full(2 * numbers.ars.directions, jnp.nan),
        episodes=jnp.int32(0),
        iteration=jnp.int32(0),
    )
    return MemberState(key, models, _before_an_episode(key, own))


def _store(
    episode_steps: int, state: MemberState, transitions: Transition, valid: jax.Array
) -> MemberState:
    own = state.learner
    found = _return(own.config, episode_steps, transitions, valid)
    returns = own.returns.at[own.episodes % own.returns.size].set(found)
    seen = joined(own.seen, transitions.observation, valid)
    own = own._replace(returns=returns, seen=seen, episodes=own.episodes + 1)
    return state._replace(learner=_before_an_episode(state.key, own))


def _return(config: ARSConfig, episode_steps: int, transitions: Transition, valid) -> jax.Array:
    """The episode's, of clipped rewards; NaN where it broke off: a shorter one costs less."""
    final = jnp.maximum(valid.sum() - 1, 0)
    ended = valid[final] & transitions.terminated[final]
    limit = jnp.where(config.reward_clip > 0, config.reward_clip, jnp.inf)
    total = jnp.sum(jnp.where(valid, jnp.clip(-transitions.cost, -limit, limit), 0.0))
    if not isinstance(transitions.next_terminal_cost, tuple):
        total -= jnp.where(ended, transitions.next_terminal_cost[final], 0.0)
    return jnp.where(ended | (valid.sum() == episode_steps), total, jnp.nan)


def _update(
    numbers: Numbers, state: MemberState, episode: jax.Array
) -> tuple[MemberState, Metrics]:
    """One step along the directions; none, and a loss of NaN, where it left the finite numbers."""
    own, config = state.learner, numbers.ars
    pairs = own.returns.reshape(-1, 2)
    whole = jnp.isfinite(pairs).all(axis=1)
    best = jnp.where(whole, pairs.max(axis=1), -jnp.inf)
    chosen = whole & (jnp.argsort(jnp.argsort(-best)) < config.top_directions)
    count = chosen.sum()
    mean, deviation = _mean_and_deviation(pairs, chosen)
    differences = jnp.where(chosen, pairs[:, 0] - pairs[:, 1], 0.0)
    numbered = functools.partial(direction, state.key, own)
    directions = jax.vmap(numbered)(jnp.arange(len(pairs)))
    step = config.step_size / (jnp.maximum(count, 1) * jnp.where(deviation > 0, deviation, 1.0))
    before = own.policy.weights
    weights = before + step * jnp.tensordot(differences, directions, axes=1)
    sound = all_finite(weights) & (count > 0)
    after = own._replace(
        policy=_normalising(
            own.policy._replace(weights=jnp.where(sound, weights, before)), own.seen, config
        ),
        returns=jnp.full_like(own.returns, jnp.nan),
        episodes=jnp.int32(0),
        iteration=own.iteration + 1,
    )
    metrics = Metrics(
        nonfinite_targets=1.0 - jnp.mean(whole),
        columns={'policy_loss': jnp.where(sound, -mean, jnp.nan), 'updates': count},
    )
    return state._replace(learner=_before_an_episode(state.key, after)), metrics


def _mean_and_deviation(pairs: jax.Array, chosen: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Of the returns of both sides."""
    count = 2 * jnp.maximum(chosen.sum(), 1)
    mean = jnp.sum(jnp.where(chosen[:, None], pairs, 0.0)) / count
    squares = jnp.where(chosen[:, None], (pairs - mean) ** 2, 0.0)
    return mean, jnp.sqrt(jnp.sum(squares) / count)


def _normalising(policy: LinearPolicy, seen: Moments, config: ARSConfig) -> LinearPolicy:
    variance = jnp.maximum(seen.squares / jnp.maximum(seen.total, 1.0), config.variance_floor)
    return policy._replace(mean=seen.mean, deviation=jnp.sqrt(variance))
