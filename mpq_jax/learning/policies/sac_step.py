"""One gradient step of soft actor-critic on a given minibatch, whoever chose it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mpq_jax.config import SACConfig
from mpq_jax.learning.policies import adam
from mpq_jax.learning.policies.networks import ActorCritic, Params
from mpq_jax.learning.replay_buffer import Transition


class Experience(NamedTuple):
    """What is learned from, of transitions `[B]`."""

    observation: jax.Array  # [B, no]
    action: jax.Array  # [B, nu]
    cost: jax.Array  # [B]
    next_observation: jax.Array  # [B, no]
    terminated: jax.Array  # [B] bool; a time limit is no termination
    next_terminal_cost: Any = ()  # [B]; () for tasks that never terminate

    @classmethod
    def of(cls, transitions: Transition) -> 'Experience':
        return cls(*(getattr(transitions, name) for name in cls._fields))


class Trained(NamedTuple):
    """All that gradient steps change."""

    policy: Params
    qs: Params  # [2, ...], of returns: minus costs, times reward_scale
    target_qs: Params
    log_temperature: jax.Array  # of the entropy, a scalar
    optimizers: Any  # of policy, Qs and temperature


class StepFigures(NamedTuple):
    """Scalars of one gradient step."""

    q_loss: jax.Array  # mean squared error, of both Qs
    policy_loss: jax.Array
    entropy: jax.Array  # in nats, mean over the minibatch

    @classmethod
    def zero(cls) -> 'StepFigures':
        return cls(*(jnp.float32(0.0) for _ in cls._fields))

    def mean(self, count: jax.Array) -> 'StepFigures':
        """Of the sums over so many steps; 0 of none."""
        return StepFigures(*(x / jnp.maximum(count, 1) for x in self))


def fresh(
    config: SACConfig, networks: ActorCritic, observation: jax.Array, action: jax.Array, key
) -> Trained:
    """Before the first step, for observations `[no]` and actions `[nu]` of that size."""
    policy, qs = networks.init(key, observation, action)
    log_temperature = jnp.log(jnp.asarray(config.initial_temperature, jnp.float32))
    optimizers = tuple(adam.begin(x) for x in (policy, qs, log_temperature))
    return Trained(policy, qs, qs, log_temperature, optimizers)


def gradient_step(
    config: SACConfig, networks: ActorCritic, trained: Trained, batch: Experience, key: jax.Array
) -> tuple[Trained, StepFigures]:
    """Qs, policy and temperature, then the target networks: Haarnoja et al. (2018), two Qs.

    The policy climbs the Qs that have just been fitted; temperature and policy are those from
    before the step wherever they enter another's loss (as in Stable-baselines3).
    """
    target_key, action_key = jax.random.split(key)
    temperature = jnp.exp(trained.log_temperature)
    policy_optimizer, q_optimizer, temperature_optimizer = trained.optimizers
    rate = config.learning_rate
    targets = q_targets(config, networks, trained, batch, target_key)

    def q_loss(qs):
        errors = networks.qs(qs, batch.observation, batch.action) - targets
        return jnp.mean(errors**2)

    def policy_loss(policy):
        actions, log_density = networks.policy(policy, batch.observation).sample(action_key)
        returns = networks.lower(qs, batch.observation, actions)
        return jnp.mean(temperature * log_density - returns), -jnp.mean(log_density)

    loss_of_q, q_gradient = jax.value_and_grad(q_loss)(trained.qs)
    qs, q_optimizer = adam.step(rate, trained.qs, q_gradient, q_optimizer)
    climb = jax.value_and_grad(policy_loss, has_aux=True)
    (loss_of_policy, entropy), policy_gradient = climb(trained.policy)
    policy, policy_optimizer = adam.step(rate, trained.policy, policy_gradient, policy_optimizer)
    log_temperature, temperature_optimizer = adam.step(
        rate, trained.log_temperature, entropy - target_entropy(config, batch.action.shape[-1]),
        temperature_optimizer,
    )  # fmt: skip
    target_qs = optax.incremental_update(qs, trained.target_qs, config.polyak)
    optimizers = policy_optimizer, q_optimizer, temperature_optimizer
    after = Trained(policy, qs, target_qs, log_temperature, optimizers)
    return after, StepFigures(loss_of_q, loss_of_policy, entropy)


def q_targets(
    config: SACConfig, networks: ActorCritic, trained: Trained, batch: Experience, key: jax.Array
) -> jax.Array:
    """r + gamma (min Q'(s', a') - alpha log pi(a'|s')) `[B]`, with a' of the policy.

    At a true termination minus the terminal cost of s' stands for what is in brackets.
    """
    actions, log_density = networks.policy(trained.policy, batch.next_observation).sample(key)
    lower = networks.lower(trained.target_qs, batch.next_observation, actions)
    following = lower - jnp.exp(trained.log_temperature) * log_density
    if not isinstance(batch.next_terminal_cost, tuple):
        ended = -config.reward_scale * batch.next_terminal_cost
        following = jnp.where(batch.terminated, ended, following)
    return -config.reward_scale * batch.cost + config.discount * following


def target_entropy(config: SACConfig, action_size: int) -> jax.Array | float:
    """Of the policy, in nats: what the temperature is moved towards."""
    return -config.target_entropy_scale * action_size
