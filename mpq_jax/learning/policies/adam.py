"""Adam with a learning rate that may be traced: it differs between members."""

import jax
import optax

_ADAM = optax.scale_by_adam()


def begin(params) -> optax.OptState:
    """The optimiser before its first step."""
    return _ADAM.init(params)


def step(rate, params, gradient, optimizer: optax.OptState):
    """Parameters and optimiser after a step down the gradient."""
    directions, optimizer = _ADAM.update(gradient, optimizer)
    return jax.tree.map(lambda x, d: x - rate * d, params, directions), optimizer
