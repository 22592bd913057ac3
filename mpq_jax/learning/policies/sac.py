"""Soft actor-critic as an algorithm: episodes into a buffer, then a block of gradient steps."""

import dataclasses
import functools
from collections.abc import Callable
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
    reward_scale: jax.Array  # of the returns that Qs stand for

    @property
    def warming_up(self) -> jax.Array:
        return self.steps < self.random_steps

    def after_round(self, trained: Trained) -> 'SACState':
        return self._replace(trained=trained, learned_steps=self.steps)


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
    numbers_kept = numbers.sac.random_steps, numbers.sac.reward_scale
    state = SACState(
        trained, nothing, nothing, *(jnp.asarray(x, jnp.float32) for x in numbers_kept)
    )
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
    count = steps_due(config, before, state.buffer)
    key = keys.stream(state.key, 'learn', episode)
    draw = functools.partial(minibatch, config.batch_size)
    found = gradient_steps(networks, draw, config, before.trained, seen(state.buffer), count, key)
    trained, metrics = kept_if_sound(config, before.trained, *found, count)
    return state._replace(learner=before.after_round(trained)), metrics


def steps_due(config: SACConfig, state: SACState, buffer: ReplayBuffer) -> jax.Array:
    """Gradient steps for the control steps since the last round; none before there are data."""
    steps = state.steps - state.learned_steps
    wanted = jnp.round(config.updates_per_step * steps).astype(jnp.int32)
    return jnp.where(state.warming_up | (buffer.size == 0), 0, wanted)


def seen(buffer: ReplayBuffer) -> ReplayBuffer:
    """What is learned from, of a buffer of transitions."""
    storage: Any = Experience.of(buffer.storage)
    return buffer._replace(storage=storage)


def minibatch(count: int, buffer: ReplayBuffer, key: jax.Array) -> Experience:
    """Of a buffer of experience, uniform with replacement."""
    batch: Any = replay_buffer.sample(buffer, key, count)
    return batch


def gradient_steps(
    networks: ActorCritic, draw: Callable[[Any, jax.Array], Experience], config: SACConfig,
    trained: Trained, data: Any, count: jax.Array, key: jax.Array,
) -> tuple[Trained, StepFigures]:  # fmt: skip
    """`count` of them, each on a minibatch of `draw(data, key)`; and the sums of their figures."""

    def steps(config, trained, data, count, key):
        def step(i, carry):
            trained, total = carry
            draw_key, step_key = jax.random.split(jax.random.fold_in(key, i))
            batch = draw(data, draw_key)
            trained, figures = gradient_step(config, networks, trained, batch, step_key)
            return trained, jax.tree.map(jnp.add, total, figures)

        return jax.lax.fori_loop(0, count, step, (trained, StepFigures.zero()))

    if jax.default_backend() == 'cpu':
        # One member after the other: matrices of this size fill a core, and none waits for another.
        steps = sequential_vmap(steps)
    return steps(config, trained, data, count, key)


def kept_if_sound(
    config: SACConfig, before: Trained, trained: Trained, total: StepFigures, count: jax.Array
) -> tuple[Trained, Metrics]:
    """After a round of so many steps; what was before, with losses of NaN, where it diverged."""
    figures = total.mean(count)
    sound = all_finite((trained, figures.q_loss, figures.policy_loss))
    kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), trained, before)
    return kept, _metrics(config, kept, figures, sound, count)


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
