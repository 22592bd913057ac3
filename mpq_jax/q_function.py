"""The soft Q function: a network of observation and action."""

import jax
import jax.numpy as jnp
from flax import linen as nn


class QNetwork(nn.Module):
    """MLP on [observation, action] with tanh layers; the paper's is two of 100."""

    hidden_width: int = 100
    hidden_layers: int = 2

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Observation `[..., no]` and action `[..., nu]` -> cost to go `[...]`."""
        x = jnp.concatenate([observation, action], axis=-1)
        for _ in range(self.hidden_layers):
            x = nn.tanh(nn.Dense(self.hidden_width)(x))
        return nn.Dense(1)(x)[..., 0]
