"""The soft Q function: a network of observation and action."""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from mpq_jax.config import Config

# tanh(x) = x P(x^2) / R(x^2), highest power first: Eigen's (`generic_fast_tanh_float`).
_NUMERATOR = (
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08,
    1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
)  # fmt: skip
_DENOMINATOR = (
    1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03,
)  # fmt: skip
_SATURATED = 7.9  # beyond it tanh is 1 in float32


@jax.custom_jvp
def tanh(x: jax.Array) -> jax.Array:
    """tanh to 3e-7, `[...]`: XLA's own takes twice as long on a CPU, most of what Q costs."""
    x = jnp.clip(x, -_SATURATED, _SATURATED)
    return x * _polynomial(_NUMERATOR, x * x) / _polynomial(_DENOMINATOR, x * x)


def _polynomial(coefficients, x: jax.Array) -> jax.Array:
    return functools.reduce(lambda total, c: total * x + c, coefficients[1:], coefficients[0])


@tanh.defjvp
def _tanh_jvp(primals, tangents):
    y = tanh(*primals)
    return y, (1.0 - y * y) * tangents[0]


class QNetwork(nn.Module):
    """MLP on [observation, action] with tanh layers; the paper's is two of 100."""

    hidden_width: int = 100
    hidden_layers: int = 2
    scale: float = 1.0  # of Q; the layers begin with some tenths

    @nn.compact
    def __call__(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Observation `[..., no]` and action `[..., nu]` -> cost to go `[...]`."""
        x = jnp.concatenate([observation, action], axis=-1)
        for _ in range(self.hidden_layers):
            x = tanh(nn.Dense(self.hidden_width)(x))
        q = nn.Dense(1)(x)[..., 0]
        return q if self.scale == 1.0 else self.scale * q


def make_network(config: Config) -> QNetwork | None:
    """The network of a config's agent; None for one that does not learn."""
    if not config.learns_q:
        return None
    learner = config.learner
    return QNetwork(learner.hidden_width, learner.hidden_layers, learner.q_scale)
