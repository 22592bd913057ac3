"""Actions in the box: the tanh of Gaussian numbers, and how likely they are."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp


class TanhGaussian(NamedTuple):
    """Of actions tanh(x), where x is Gaussian with independent entries."""

    mean: jax.Array  # [..., nu], of x
    log_std: jax.Array  # [..., nu], of x

    @property
    def mode(self) -> jax.Array:
        """What a deterministic agent does: the tanh of the mean `[..., nu]`."""
        return jnp.tanh(self.mean)

    def sample(self, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Actions `[..., nu]` and their log-densities `[...]`, differentiable in the parameters."""
        normal = jax.random.normal(key, self.mean.shape)
        before = self.mean + jnp.exp(self.log_std) * normal
        return jnp.tanh(before), self.log_density(before)

    def log_density(self, before: jax.Array) -> jax.Array:
        """Of the action tanh(before), in its own box: `[..., nu]` -> `[...]`.

        log N(x) - log(1 - tanh(x)^2), whose second term is written so that no large x spoils it.
        """
        scaled = (before - self.mean) * jnp.exp(-self.log_std)
        normal = -0.5 * scaled**2 - self.log_std - 0.5 * math.log(2.0 * math.pi)
        far = jnp.abs(before)
        stretch = 2.0 * (math.log(2.0) - far - jnp.log1p(jnp.exp(-2.0 * far)))
        return jnp.sum(normal - stretch, axis=-1)
