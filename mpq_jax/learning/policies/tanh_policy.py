"""A deterministic policy: a tanh network of what is observed, in the units of what was seen."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

_NEVER_ZERO = 1e-6  # an observation that never changes is not scaled


class TanhNetwork(nn.Module):
    """MLP with tanh layers, its outputs too: actions in [-1, 1]."""

    action_size: int
    hidden_width: int = 100
    hidden_layers: int = 2

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Scaled observations `[..., no]` -> actions `[..., nu]`."""
        x = inputs
        for _ in range(self.hidden_layers):
            x = jnp.tanh(nn.Dense(self.hidden_width)(x))
        return jnp.tanh(nn.Dense(self.action_size)(x))


class PolicyParams(NamedTuple):
    """All that there is of a policy."""

    network: Any
    mean: jax.Array  # [no], of the observations that it was fitted to
    scale: jax.Array  # [no], their standard deviations


def fresh(network: TanhNetwork, observation_size: int, key: jax.Array) -> PolicyParams:
    """Before any data."""
    zeros = jnp.zeros(observation_size)
    return PolicyParams(network.init(key, zeros), zeros, jnp.ones(observation_size))


def respond(network: TanhNetwork, params: PolicyParams, observation: jax.Array) -> jax.Array:
    """Observations as they are, `[..., no]` -> actions `[..., nu]`."""
    found: Any = network.apply(params.network, (observation - params.mean) / params.scale)
    return found


def scaled_by(params: PolicyParams, observations: jax.Array, there: jax.Array) -> PolicyParams:
    """The parameters with the scales of those of the observations `[C, no]` that are `there`."""
    there = there[:, None]
    mean = jnp.mean(observations, axis=0, where=there)
    deviation = jnp.sqrt(jnp.mean((observations - mean) ** 2, axis=0, where=there))
    return params._replace(mean=mean, scale=jnp.where(deviation > _NEVER_ZERO, deviation, 1.0))


def layers(params: PolicyParams) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights `[in, out]` and biases `[out]` of one policy, from its inputs on."""
    dense = params.network['params']
    return [
        (np.asarray(dense[name]['kernel']), np.asarray(dense[name]['bias']))
        for name in (f'Dense_{i}' for i in range(len(dense)))
    ]
