"""Fitting a policy to labels: Adam on the mean squared error of all that is stored."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from mpq_jax.config import DistilConfig
from mpq_jax.learning.policies import adam, tanh_policy
from mpq_jax.learning.policies.tanh_policy import PolicyParams, TanhNetwork


class Fit(NamedTuple):
    """A policy and its optimiser, between rounds."""

    policy: PolicyParams
    optimizer: optax.OptState


class Examples(NamedTuple):
    """Observations and what is to be done there, in rows, of which the first `size` are stored."""

    observations: jax.Array  # [C, no]
    labels: jax.Array  # [C, nu]; a row with NaN is not looked at
    size: jax.Array


def begin(policy: PolicyParams) -> Fit:
    """Before the first step."""
    return Fit(policy, adam.begin(policy.network))


def fit(
    config: DistilConfig, network: TanhNetwork, state: Fit, examples: Examples, key: jax.Array
) -> tuple[Fit, jax.Array, jax.Array]:
    """One round: the policy, the mean loss of its steps, and how many these were.

    Minibatches are drawn with replacement, as many as epochs take. Observations are scaled anew,
    by all that is stored.
    """
    count, batch = len(examples.observations), config.batch_size
    stored = jnp.arange(count) < examples.size
    known = stored & jnp.isfinite(examples.labels).all(axis=-1)
    policy = tanh_policy.scaled_by(state.policy, examples.observations, stored)
    steps = config.epochs * -(-examples.size // batch)

    def step(i, carry):
        params, optimizer, total = carry
        drawn = jax.random.fold_in(key, i), (batch,), 0, jnp.maximum(examples.size, 1)
        places = jax.random.randint(*drawn)
        there = known[places][:, None]
        labels = jnp.where(there, examples.labels[places], 0.0)

        def loss(params):
            at = policy._replace(network=params)
            actions = tanh_policy.respond(network, at, examples.observations[places])
            errors = jnp.where(there, actions - labels, 0.0)
            return jnp.sum(errors**2) / (jnp.maximum(there.sum(), 1) * labels.shape[-1])

        value, gradients = jax.value_and_grad(loss)(params)
        params, optimizer = adam.step(config.learning_rate, params, gradients, optimizer)
        return params, optimizer, total + value

    carry = state.policy.network, state.optimizer, jnp.float32(0.0)
    params, optimizer, total = jax.lax.fori_loop(0, steps, step, carry)
    loss = total / jnp.maximum(steps, 1)
    return Fit(policy._replace(network=params), optimizer), loss, jnp.float32(steps)
