"""Model Predictive Q-Learning: episodes into a buffer, free-energy targets, a fitted Q."""

import functools

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.config import Config
from mpq_jax.dynamics import Model, Simulator, all_finite
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.learning import learner, replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.q_function import make_network
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent, QParams, make_agent
from mpq_jax.planning.mixing import at_episode


def make_mpq(config: Config, simulator: Simulator) -> Algorithm:
    """MPQ, and SoftQ, which is MPQ at a horizon of 1. Raises ConfigError."""
    agent = make_agent(config, simulator, make_network(config))
    return Algorithm(
        collect=agent,
        play=agent,
        init=functools.partial(_init, config, agent),
        params=_params,
        store=_store,
        update=functools.partial(_update, agent),
        keep_plans=config.learner.warm_start,
    )


def _init(
    config: Config, agent: Agent, numbers: Numbers, key, models: Model, transition: Transition
) -> MemberState:
    settings = config.learner
    observation = jnp.zeros(transition.observation.shape)
    state = learner.init(numbers.learner, agent, observation, keys.stream(key, 'network'))
    buffer = replay_buffer.empty(transition, settings.buffer_capacity)
    return MemberState(key, models, state, buffer)


def _params(state: MemberState) -> QParams:
    return state.learner.params


def _store(state: MemberState, transitions: Transition, valid: jax.Array) -> MemberState:
    return state._replace(buffer=replay_buffer.add(state.buffer, transitions, valid))


def _update(
    agent: Agent, numbers: Numbers, state: MemberState, episode: jax.Array
) -> tuple[MemberState, Metrics]:
    """One learning round; undone, with a loss of NaN, where it left the finite numbers."""
    models = episode_models(numbers.belief, state.models, state.key, episode)
    learned, metrics = learner.learn(
        at_episode(numbers.planner, episode), numbers.learner, agent, models, state.learner,
        state.buffer, keys.stream(state.key, 'learn', episode),
    )  # fmt: skip
    sound = all_finite((metrics.q_loss, learned.params, learned.optimizer))
    usable = sound & (state.buffer.size > 0)  # no data yet: nothing to learn from
    metrics = metrics._replace(q_loss=jnp.where(sound, metrics.q_loss, jnp.nan))
    kept = jax.tree.map(lambda a, b: jnp.where(usable, a, b), learned, state.learner)
    return state._replace(learner=kept), metrics
