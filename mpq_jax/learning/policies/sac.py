"""Soft actor-critic as an algorithm: episodes into a buffer, then a block of gradient steps."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.custom_batching import sequential_vmap

from mpq_jax.base import keys
from mpq_jax.config import Config, SACConfig
from mpq_jax.dynamics import Model, Simulator, all_finite
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.policies.networks import ActorCritic, Params, make_actor_critic
from mpq_jax.learning.policies.sac_step import (
    Experience,
    StepFigures,
    Trained,
    fresh,
    gradient_step,
)
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.planning.policy_agent import PolicyAgent


class Acting(NamedTuple):
    """What both agents act with."""

    policy: Params
    at_random: jax.Array  # bool; too few steps are stored for the policy to act in training


class SACState(NamedTuple):
    """A member's `learner`."""

    trained: Trained
    steps: jax.Array  # int32, control steps that were ever stored
    learned_steps: jax.Array  # int32, of these, at the last round
    random_steps: jax.Array  # before the policy acts in training episodes, and before it learns

    @property
    def warming_up(self) -> jax.Array:
        return self.steps < self.random_steps


def make_sac(config: Config, simulator: Simulator) -> Algorithm:
    """SAC: samples actions in training episodes, takes their mode in others."""
    networks = make_actor_critic(config.sac, simulator.action_size)
    agent = PolicyAgent(simulator, None, None, config.execution)
    return Algorithm(
        collect=dataclasses.replace(agent, policy=functools.partial(_explore, networks)),
        play=dataclasses.replace(agent, policy=functools.partial(_exploit, networks)),
        init=functools.partial(_init, config, networks),
        params=_params,
        store=_store,
        update=functools.partial(_update, networks),
    )


def _explore(networks: ActorCritic, acting: Acting, observation: jax.Array, key: jax.Array):
    """Uniform actions, or those of the policy."""
    uniform_key, key = jax.random.split(key)
    action, _ = networks.policy(acting.policy, observation).sample(key)
    uniform = jax.random.uniform(uniform_key, action.shape, minval=-1.0, maxval=1.0)
    return jnp.where(acting.at_random, uniform, action)


def _exploit(networks: ActorCritic, acting: Acting, observation: jax.Array, key: jax.Array):
    return networks.policy(acting.policy, observation).mode


def _init(
    config: Config, networks: ActorCritic, numbers: Numbers, key, models: Model,
    transition: Transition,
) -> MemberState:  # fmt: skip
    observation, action = (
        jnp.zeros(x.shape, x.dtype) for x in (transition.observation, transition.action)
    )
    trained = fresh(numbers.sac, networks, observation, action, keys.stream(key, 'network'))
    nothing = jnp.int32(0)
    random_steps = jnp.asarray(numbers.sac.random_steps, jnp.float32)
    state = SACState(trained, nothing, nothing, random_steps)
    buffer = replay_buffer.empty(transition, config.learner.buffer_capacity)
    return MemberState(key, models, state, buffer)


def _params(state: MemberState) -> Acting:
    return Acting(state.learner.trained.policy, state.learner.warming_up)


def _store(state: MemberState, transitions: Transition, valid: jax.Array) -> MemberState:
    steps = state.learner.steps + jnp.sum(valid, dtype=jnp.int32)
    buffer = replay_buffer.add(state.buffer, transitions, valid)
    return state._replace(learner=state.learner._replace(steps=steps), buffer=buffer)


def _update(
    networks: ActorCritic, numbers: Numbers, state: MemberState, episode: jax.Array
) -> tuple[MemberState, Metrics]:
    """One learning round; undone, with losses of NaN, where it left the finite numbers."""
    config, before = numbers.sac, state.learner
    steps = before.steps - before.learned_steps
    wanted = jnp.round(config.updates_per_step * steps).astype(jnp.int32)
    count = jnp.where(before.warming_up | (state.buffer.size == 0), 0, wanted)
    key = keys.stream(state.key, 'learn', episode)
    storage: Any = Experience.of(state.buffer.storage)
    seen = state.buffer._replace(storage=storage)
    steps_of = functools.partial(_gradient_steps, networks)
    if jax.default_backend() == 'cpu':
        # One member after the other: matrices of this size fill a core, and none waits for another.
        steps_of = sequential_vmap(steps_of)
    trained, figures = steps_of(config, before.trained, seen, count, key)
    sound = all_finite((trained, figures.q_loss, figures.policy_loss))
    kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), trained, before.trained)
    after = before._replace(trained=kept, learned_steps=before.steps)
    return state._replace(learner=after), _metrics(config, kept, figures, sound, count)


def _gradient_steps(
    networks: ActorCritic, config: SACConfig, trained: Trained, buffer: ReplayBuffer,
    count: jax.Array, key: jax.Array,
) -> tuple[Trained, StepFigures]:  # fmt: skip
    """`count` of them, each on a minibatch of its own, and the means of their figures."""

    def step(i, carry):
        trained, total = carry
        sample_key, step_key = jax.random.split(jax.random.fold_in(key, i))
        batch: Any = replay_buffer.sample(buffer, sample_key, config.batch_size)
        trained, figures = gradient_step(config, networks, trained, batch, step_key)
        return trained, jax.tree.map(jnp.add, total, figures)

    zero = StepFigures(*(jnp.float32(0.0) for _ in StepFigures._fields))
    trained, total = jax.lax.fori_loop(0, count, step, (trained, zero))
    return trained, jax.tree.map(lambda x: x / jnp.maximum(count, 1), total)


def _metrics(
    config: SACConfig, trained: Trained, figures: StepFigures, sound: jax.Array, count: jax.Array
) -> Metrics:
    """Of a round; the temperature is that after it."""
    columns: dict[str, Any] = {
        'policy_loss': jnp.where(sound, figures.policy_loss, jnp.nan),
        'entropy': figures.entropy,
        'entropy_temperature': jnp.exp(trained.log_temperature) / config.reward_scale,
        'updates': count,
    }
    return Metrics(jnp.where(sound, figures.q_loss, jnp.nan), columns=columns)
