"""What training cannot do without, written out by hand: Q's arithmetic and its Adam steps.

No keys, no shuffling, no masks, no pytrees of an optimiser: the products and the elementwise
passes alone. What a round takes beyond them is ours.
"""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.benchmarks.measure import Timing
from mpq_jax.dynamics import Model, Simulator, State, rollout
from mpq_jax.learning.q_function import tanh

_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8  # Adam's


class Weights(NamedTuple):
    """Of one network, or what Adam keeps of each: matrices `[n, m]` and biases `[m]`."""

    matrices: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]


def weights_of(params: Any) -> Weights:
    """Those of a `QNetwork`, first layer first."""
    named = params['params']
    layers = [named[f'Dense_{i}'] for i in range(len(named))]
    return Weights(tuple(x['kernel'] for x in layers), tuple(x['bias'] for x in layers))


def forward(weights: Weights, inputs: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
    """Q `[B]` of inputs `[B, no + nu]`, and what each layer was given."""
    given = [inputs]
    for matrix, bias in zip(weights.matrices[:-1], weights.biases[:-1], strict=True):
        given.append(tanh(given[-1] @ matrix + bias))
    return (given[-1] @ weights.matrices[-1] + weights.biases[-1])[:, 0], given


def gradient(weights: Weights, inputs: jax.Array, targets: jax.Array) -> Weights:
    """Of the mean squared error, by hand."""
    q, given = forward(weights, inputs)
    back = (2.0 / len(targets) * (q - targets))[:, None]
    matrices, biases = [], []
    for matrix, x in zip(weights.matrices[::-1], given[::-1], strict=True):
        matrices.append(x.T @ back)
        biases.append(jnp.sum(back, axis=0))
        back = (back @ matrix.T) * (1.0 - x * x)
    return Weights(tuple(matrices[::-1]), tuple(biases[::-1]))


def adam_steps(
    weights: Weights, inputs: jax.Array, targets: jax.Array, rate: float, count: int
) -> Weights:
    """The weights after so many steps of Adam on the same minibatch."""
    zeros = jax.tree.map(jnp.zeros_like, weights)

    def step(carry, i):
        weights, mean, square = carry
        slope = gradient(weights, inputs, targets)
        mean = jax.tree.map(lambda m, g: _DECAY * m + (1.0 - _DECAY) * g, mean, slope)
        square = jax.tree.map(
            lambda v, g: _SQUARE_DECAY * v + (1.0 - _SQUARE_DECAY) * g * g, square, slope
        )
        known, squares_known = 1.0 - _DECAY ** (i + 1.0), 1.0 - _SQUARE_DECAY ** (i + 1.0)

        def moved(x, m, v):
            return x - rate * (m / known) / (jnp.sqrt(v / squares_known) + _EPSILON)

        return (jax.tree.map(moved, weights, mean, square), mean, square), None

    return jax.lax.scan(step, (weights, zeros, zeros), jnp.arange(count, dtype=jnp.float32))[0][0]


def plans_in_turn(
    simulator: Simulator,
    particles: Model,
    start: State,
    actions: jax.Array,
    weights: Weights,
    inputs: jax.Array,
    count: int,
) -> jax.Array:
    """Rollouts of actions `[N, T, nu]`, and Q of their ends, from `count` states one by one.

    What an episode's plans cannot do without: nothing is drawn, weighed or averaged. `inputs`
    `[N, no + nu]` stand for what the task observes at the ends.
    """
    roll = functools.partial(rollout, simulator)
    first = jax.tree.map(lambda leaf: leaf[0], particles)

    def step(state, _):
        ends = jax.vmap(roll, in_axes=(0, None, 0))(particles, state, actions).state
        q, _ = forward(weights, inputs + jnp.sum(ends.qpos, axis=-1, keepdims=True))
        return roll(first, state, actions[0, :1]).state, jnp.sum(q)

    return jnp.sum(jax.lax.scan(step, start, None, length=count)[1])


def shares(timings: Mapping[str, Timing], fitted: bool) -> dict[str, float]:
    """What parts cannot do without, of what they take, by medians; rounds if targets are fitted."""
    seconds = {name: timing.median for name, timing in timings.items()}
    found = {'acting': seconds['plans by hand'] / seconds['acting']}
    if fitted:
        updates = seconds['Adam by hand']
        floor = seconds['bare rollouts'] + seconds['Q by hand'] + updates
        found['network updates'] = updates / seconds['network updates']
        found['learning round'] = floor / seconds['learning round']
    return found
