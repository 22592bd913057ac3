"""A probabilistic network of changes: mean and bounded log-variance, as PETS has it.

Chua, Calandra, McAllister and Levine, *Deep Reinforcement Learning in a Handful of Trials using
Probabilistic Dynamics Models* (2018). An ensemble is its parameters with a leading axis.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from mpq_jax.config import DynamicsConfig


class Scales(NamedTuple):
    """What inputs and targets are measured in, from the data that a network was fitted to."""

    input_mean: jax.Array  # [ni]
    input_scale: jax.Array  # [ni]
    target_scale: jax.Array  # [no]


class Member(NamedTuple):
    """One network of an ensemble."""

    params: dict
    scales: Scales


def initial_weights(key, shape, dtype=jnp.float32):
    """Truncated normal, of 1 / (2 sqrt(fan in)) before it is cut at two deviations."""
    cut = jax.random.truncated_normal(key, -2.0, 2.0, shape, dtype)
    return cut / (2.0 * jnp.sqrt(jnp.asarray(shape[0], dtype)))


class DynamicsNetwork(nn.Module):
    """MLP with swish layers; its outputs are in units of `Scales.target_scale`."""

    config: DynamicsConfig
    outputs: int  # no

    @nn.compact
    def __call__(self, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Scaled inputs `[..., ni]` -> mean and log-variance `[..., no]`."""
        config, x = self.config, inputs
        for _ in range(config.hidden_layers):
            x = nn.swish(nn.Dense(config.hidden_width, kernel_init=initial_weights)(x))
        x = nn.Dense(2 * self.outputs, kernel_init=initial_weights)(x)
        mean, raw = jnp.split(x, 2, axis=-1)
        low = self._bound('min_log_variance', config.min_log_variance)
        high = self._bound('max_log_variance', config.max_log_variance)
        return mean, bounded(raw, low, high)

    def _bound(self, name: str, value) -> jax.Array:
        """[no]; one of the parameters where bounds are learned."""

        def begins(_):
            return jnp.full(self.outputs, value, jnp.float32)

        return self.param(name, begins) if self.config.learned_bounds else begins(None)


def bounded(raw: jax.Array, low: jax.Array, high: jax.Array) -> jax.Array:
    """Softly between two bounds."""
    below = high - nn.softplus(high - raw)
    return low + nn.softplus(below - low)


def predict(
    network: DynamicsNetwork, member: Member, inputs: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Mean and standard deviation of the change `[..., no]`, from inputs as they are."""
    scales = member.scales
    scaled = (inputs - scales.input_mean) / scales.input_scale
    found: Any = network.apply(member.params, scaled)
    mean, log_variance = found
    return mean * scales.target_scale, jnp.exp(0.5 * log_variance) * scales.target_scale
