"""One member of a run, purely: its state, an episode into its buffer, a learning round on it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.config import Config
from mpq_jax.dynamics import Model, Simulator, all_finite
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.environments.episode import Episode, Summary, example_transition, run_episode
from mpq_jax.learning import learner, replay_buffer
from mpq_jax.learning.learner import LearnMetrics
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.training.batch import Numbers


class SeedState(NamedTuple):
    """All that shapes a member's future; a run stacks them with a leading axis `[B]`."""

    key: jax.Array  # the seed's base key; streams are folded from it
    models: Model  # the planner's, leading axis D (or the bank)
    learner: Any  # LearnerState; () for an agent that does not learn
    buffer: Any  # ReplayBuffer; ()
    best_params: QParams  # of the best validation so far
    best_returns: Any  # [E], of its episodes; NaN before the first; ()


def actor(key: jax.Array, models: Model) -> SeedState:
    """The state of a member that does not learn."""
    return SeedState(key, models, (), (), (), ())


def novice(
    config: Config, agent: Agent, real: Simulator, numbers: Numbers, key, models: Model
) -> SeedState:
    """The state of a member that learns, before its first episode.

    Args:
      config: what is the same for all members (buffer size, what is stored, validation).
      agent: with a network.
      real: what Q's data come from.
      numbers: what differs between members.
      key: the seed's base key.
      models: the planner's.
    """
    settings = config.learner
    plan = agent.first_plan(numbers.planner) if settings.warm_start else ()
    transition = example_transition(real, plan)
    observation = jnp.zeros(transition.observation.shape)
    state = learner.init(numbers.learner, agent, observation, keys.stream(key, 'network'))
    buffer = replay_buffer.empty(transition, settings.buffer_capacity)
    unknown = jnp.full(config.training.validation_episodes, jnp.nan)
    return SeedState(key, models, state, buffer, state.params, unknown)


def collect(
    agent: Agent, real: Simulator, stream: str, keep_plans: bool, numbers: Numbers,
    state: SeedState, plants: Model, episode: jax.Array,
) -> tuple[SeedState, Summary]:  # fmt: skip
    """One training episode from a stream of start states, into the buffer."""
    models = episode_models(numbers.belief, state.models, state.key, episode)
    result = run_episode(
        numbers.planner, agent, real, state.learner.params, models,
        keys.stream(state.key, stream, episode), plants, keep_plans=keep_plans,
    )  # fmt: skip
    return store(state, result.transitions, result.valid), result.summary


def store(state: SeedState, transitions, valid: jax.Array) -> SeedState:
    """An episode's transitions `[T]` into the buffer, those that are `valid`."""
    return state._replace(buffer=replay_buffer.add(state.buffer, transitions, valid))


def learn(
    agent: Agent, numbers: Numbers, state: SeedState, episode: jax.Array
) -> tuple[SeedState, LearnMetrics]:
    """One learning round; undone, with a loss of NaN, where it left the finite numbers."""
    models = episode_models(numbers.belief, state.models, state.key, episode)
    learned, metrics = learner.learn(
        numbers.planner, numbers.learner, agent, models, state.learner, state.buffer,
        keys.stream(state.key, 'learn', episode),
    )  # fmt: skip
    sound = all_finite((metrics.q_loss, learned.params, learned.optimizer))
    usable = sound & (state.buffer.size > 0)  # no data yet: nothing to learn from
    metrics = metrics._replace(q_loss=jnp.where(sound, metrics.q_loss, jnp.nan))
    return state._replace(learner=_chosen(usable, learned, state.learner)), metrics


def play(
    agent: Agent, real: Simulator, stream: str, numbers: Numbers, key, models: Model,
    q_params: QParams, plants: Model, episode: jax.Array,
) -> Episode:  # fmt: skip
    """One episode without learning, from a stream of start states."""
    models = episode_models(numbers.belief, models, key, episode)
    key = keys.stream(key, stream, episode)
    return run_episode(numbers.planner, agent, real, q_params, models, key, plants)


def keep_best(state: SeedState, returns: jax.Array) -> SeedState:
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
    best = _chosen(taken, state.learner.params, state.best_params)
    return state._replace(
        best_params=best, best_returns=jnp.where(taken, returns, state.best_returns)
    )


def best_params(state: SeedState) -> QParams:
    """The parameters of the best validation, the last where there was none."""
    known = jnp.isfinite(state.best_returns).all() & (state.best_returns.size > 0)
    return _chosen(known, state.best_params, state.learner.params)


def _chosen(condition: jax.Array, yes, no):
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
