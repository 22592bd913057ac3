"""The networks of actor-critics: a policy, and two Qs that are one batched network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from mpq_jax.config import SACConfig
from mpq_jax.learning.policies.tanh_gaussian import TanhGaussian

Params = Any
NUM_QS = 2
_LOG_STD = -20.0, 2.0  # between which a policy's is clipped
# Uniform in plus and minus 1 / sqrt(inputs), PyTorch's: initial outputs are small.
_INITIAL = nn.initializers.variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')


class _MLP(nn.Module):
    """Layers with ReLU, then a linear one."""

    width: int
    layers: int
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(self.layers):
            x = nn.relu(nn.Dense(self.width, kernel_init=_INITIAL)(x))
        return nn.Dense(self.outputs, kernel_init=_INITIAL)(x)


class ActorCritic(NamedTuple):
    """What maps observations to actions, and both to returns."""

    actor: _MLP
    critic: _MLP

    def init(self, key: jax.Array, observation: jax.Array, action: jax.Array):
        """Fresh parameters of the policy, and of both Qs `[2, ...]`."""
        policy_key, q_key = jax.random.split(key)
        seen = jnp.concatenate([observation, action])
        qs = jax.vmap(self.critic.init, (0, None))(jax.random.split(q_key, NUM_QS), seen)
        return self.actor.init(policy_key, observation), qs

    def policy(self, params: Params, observation: jax.Array) -> TanhGaussian:
        """Of observations `[..., no]`."""
        out: Any = self.actor.apply(params, observation)
        mean, log_std = jnp.split(out, 2, axis=-1)
        return TanhGaussian(mean, jnp.clip(log_std, *_LOG_STD))

    def sampled(self, params: Params, observation: jax.Array, key: jax.Array) -> jax.Array:
        """Actions `[..., nu]` of the policy."""
        return self.policy(params, observation).sample(key)[0]

    def qs(self, params: Params, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Both returns to go `[2, ...]` of observations `[..., no]` and actions `[..., nu]`."""
        seen = jnp.concatenate([observation, action], axis=-1)
        out: Any = jax.vmap(self.critic.apply, (0, None))(params, seen)
        return out[..., 0]

    def lower(self, params: Params, observation: jax.Array, action: jax.Array) -> jax.Array:
        """The lower of both `[...]`, differentiable whatever the compiler makes of it.

        The gradient of a minimum over an axis looks for the entries that equal it; a fused program
        that computes them twice, rounded otherwise, finds none and divides by zero.
        """
        first, second = self.qs(params, observation, action)
        return jnp.minimum(first, second)


class CostToGo(NamedTuple):
    """What a plan's end costs by an actor-critic's Qs: a `planning.agent.Network`."""

    networks: ActorCritic

    def init(self, key: jax.Array, observation: jax.Array, action: jax.Array):
        return self.networks.init(key, observation, action)[1]

    def apply(self, params: tuple[Params, Any], observation: jax.Array, action: jax.Array):
        """Minus the lower return `[...]`, in costs; of params, the Qs' and the reward scale."""
        qs, reward_scale = params
        return -self.networks.lower(qs, observation, action) / reward_scale


def make_actor_critic(config: SACConfig, action_size: int) -> ActorCritic:
    sizes = config.hidden_width, config.hidden_layers
    return ActorCritic(_MLP(*sizes, 2 * action_size), _MLP(*sizes, 1))
