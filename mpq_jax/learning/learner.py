"""Learning Q: sample states, make free-energy targets, fit the network."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mpq_jax.base.batching import map_in_chunks
from mpq_jax.config import BasePlannerConfig, LearnerConfig
from mpq_jax.dynamics import Model
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import Metrics
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.planner import state_value
from mpq_jax.planning.scoring import num_draws

_ADAM = optax.scale_by_adam()


class LearnerState(NamedTuple):
    params: QParams
    target_params: QParams  # () without a target network
    optimizer: optax.OptState
    kept: Any = ()  # Examples [R - 1, B] of the last rounds, R = rounds_kept; target NaN: none yet


class Examples(NamedTuple):
    """Q at an observation and action is to be the target."""

    observation: jax.Array  # [B, no]
    action: jax.Array  # [B, nu]
    target: jax.Array  # [B]


def init(config: LearnerConfig, agent: Agent, observation: jax.Array, key: jax.Array):
    """A fresh learner for observations and actions of the given size."""
    assert agent.network is not None
    action = jnp.zeros(agent.simulator.action_size)
    params = agent.network.init(key, observation, action)
    target_params = params if config.target_network else ()
    return LearnerState(
        params, target_params, _ADAM.init(params), _no_examples(config, observation, action)
    )


def _no_examples(config: LearnerConfig, observation: jax.Array, action: jax.Array):
    """Room for the examples of earlier rounds, which the loss masks out until there are some."""
    if config.rounds_kept == 1 or config.mode != 'fitted':
        return ()
    shape = config.rounds_kept - 1, config.num_states
    return Examples(
        jnp.zeros(shape + observation.shape),
        jnp.zeros(shape + action.shape),
        jnp.full(shape, jnp.nan),
    )


def learn(
    planner: BasePlannerConfig,
    config: LearnerConfig,
    agent: Agent,
    models: Model,
    state: LearnerState,
    buffer: ReplayBuffer,
    key: jax.Array,
) -> tuple[LearnerState, Metrics]:
    """One learning round for one seed.

    'fitted': the targets of `num_states` states are made at once with the round's parameters,
    then fitted for `epochs`. 'per_minibatch': every minibatch gets fresh targets (the paper's).
    """
    rounds = {'fitted': _fitted_round, 'per_minibatch': _per_minibatch_round}
    return rounds[config.mode](planner, config, agent, models, state, buffer, key)


def make_targets(
    planner: BasePlannerConfig,
    config: LearnerConfig,
    agent: Agent,
    models: Model,
    params: QParams,
    batch: Transition,
    key: jax.Array,
) -> jax.Array:
    """Targets y = c + gamma V(s') `[B]` (Eq. 19).

    At a true termination V(s') is the task's terminal cost; 0 for transitions without one.
    """
    return _sampled_targets(planner, config, agent, models, params, batch, key)[0]


def _sampled_targets(planner, config, agent, models, params, batch, key):
    """Targets `[B]`, and the effective sample sizes of the values in them `[B]`."""
    assert agent.planner is not None
    value_of = functools.partial(
        state_value, agent.planner, planner, iterations=config.target_iterations,
        devices=agent.execution.sample_devices,
    )  # fmt: skip

    def one(item):
        transition, key = item
        start = transition.next_plan if config.warm_start else agent.first_plan(planner)
        costs_of = agent.costs_of(planner, params, models, transition.next_state, key)
        value, info = value_of(costs_of, num_draws(models), start, key)
        ended = 0.0
        if agent.simulator.task.terminated is not None:
            ended = planner.discount * transition.next_terminal_cost
        following = jnp.where(transition.terminated, ended, planner.discount * value)
        return transition.cost + following, info.effective_sample_size

    keys = jax.random.split(key, batch.cost.shape[0])
    return map_in_chunks(one, (batch, keys), agent.execution.target_chunk)


def plan_steps(planner: BasePlannerConfig, config: LearnerConfig) -> int:
    """Control steps of the planner's models in one round for one seed."""
    states = config.num_states
    if config.mode == 'per_minibatch':
        states = config.num_minibatches * config.minibatch_size
    plans = states * (config.target_iterations + 1) * planner.num_samples
    return plans * (planner.horizon - 1)


def fit(
    config: LearnerConfig, agent: Agent, state: LearnerState, examples: Examples, key: jax.Array
) -> tuple[LearnerState, jax.Array]:
    """Epochs of shuffled minibatches on known targets `[B]`; returns the last epoch's mean loss."""
    count = examples.target.shape[0]
    whole = count // config.minibatch_size * config.minibatch_size

    def epoch(state, key):
        order = jax.random.permutation(key, count)[:whole].reshape(-1, config.minibatch_size)

        def step(state, places):
            minibatch = jax.tree.map(lambda leaf: leaf[places], examples)
            return _gradient_step(config, agent, state, minibatch)

        state, losses = jax.lax.scan(step, state, order)
        return state, jnp.mean(losses)

    state, losses = jax.lax.scan(epoch, state, jax.random.split(key, config.epochs))
    return state, losses[-1]


def _fitted_round(planner, config, agent, models, state, buffer, key):
    sample_key, target_key, order_key = jax.random.split(key, 3)
    batch = replay_buffer.sample(buffer, sample_key, config.num_states)
    params = state.target_params if config.target_network else state.params
    sampled = _sampled_targets(planner, config, agent, models, params, batch, target_key)
    targets = sampled[0]
    examples = Examples(batch.observation, batch.action, targets)
    if config.rounds_kept > 1:
        every = jax.tree.map(
            lambda new, old: jnp.concatenate([new[None], old]), examples, state.kept
        )
        state = state._replace(kept=jax.tree.map(lambda x: x[:-1], every))
        examples = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), every)
    state, loss = fit(config, agent, state, examples, order_key)
    return state, _metrics(loss, *sampled)


def _per_minibatch_round(planner, config, agent, models, state, buffer, key):
    def step(state, key):
        sample_key, target_key = jax.random.split(key)
        batch = replay_buffer.sample(buffer, sample_key, config.minibatch_size)
        params = state.target_params if config.target_network else state.params
        sampled = _sampled_targets(planner, config, agent, models, params, batch, target_key)
        examples = Examples(batch.observation, batch.action, sampled[0])
        state, loss = _gradient_step(config, agent, state, examples)
        return state, (loss, sampled)

    keys = jax.random.split(key, config.num_minibatches)
    state, (losses, sampled) = jax.lax.scan(step, state, keys)
    return state, _metrics(jnp.mean(losses), *sampled)


def _gradient_step(config: LearnerConfig, agent: Agent, state: LearnerState, batch: Examples):
    """One Adam step on the mean squared error of the finite targets."""
    network = agent.network
    assert network is not None
    usable = jnp.isfinite(batch.target)
    targets = jnp.where(usable, batch.target, 0.0)

    def loss(params):
        q: Any = network.apply(params, batch.observation, batch.action)
        errors = jnp.where(usable, q - targets, 0.0)
        return jnp.sum(errors**2) / jnp.maximum(jnp.sum(usable), 1)

    value, gradients = jax.value_and_grad(loss)(state.params)
    directions, optimizer = _ADAM.update(gradients, state.optimizer)
    updates = jax.tree.map(lambda d: -config.learning_rate * d, directions)
    params = optax.apply_updates(state.params, updates)
    target_params = state.target_params
    if config.target_network:
        target_params = optax.incremental_update(params, target_params, config.polyak)
    return LearnerState(params, target_params, optimizer, state.kept), value


def _metrics(q_loss: jax.Array, targets: jax.Array, sizes: jax.Array) -> Metrics:
    usable = jnp.isfinite(targets)
    mean = jnp.mean(targets, where=usable)
    return Metrics(q_loss, mean, jnp.mean(~usable), jnp.mean(sizes))
