"""Fitting one network of an ensemble to data, by negative log-likelihood; `vmap` makes many.

Recipe and defaults: Chua et al. (2018) for the network, its loss and its bootstrap; held-out data,
early stopping and elites as in mbrl-lib (Pineda et al., 2021).
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from mpq_jax.config import DynamicsConfig
from mpq_jax.dynamics.learned.network import DynamicsNetwork, Member, Scales

_ADAM = optax.scale_by_adam()
_SCORED_AT_ONCE = 256
_NEVER_ZERO = 1e-6  # a column that never changes is not scaled


class Fit(NamedTuple):
    """A network and its optimiser, between rounds; an ensemble's have a leading axis E."""

    member: Member
    optimizer: optax.OptState


class Data(NamedTuple):
    """Inputs and targets in rows, of which the first `size` are there."""

    inputs: jax.Array  # [C, ni]
    targets: jax.Array  # [C, no]
    size: jax.Array


class Fitted(NamedTuple):
    fit: Fit
    loss: jax.Array  # of the last epoch: its mean negative log-likelihood, without weight decay
    holdout_loss: jax.Array  # the same on held-out rows, of the weights kept; NaN without any
    score: jax.Array  # mean squared error in scaled units: held out, or of the last epoch


def fresh(network: DynamicsNetwork, num_inputs: int, key: jax.Array) -> Fit:
    """Before any data."""
    params: Any = network.init(key, jnp.zeros(num_inputs))
    ones = jnp.ones(network.outputs)
    scales = Scales(jnp.zeros(num_inputs), jnp.ones(num_inputs), ones)
    return Fit(Member(params, scales), _ADAM.init(params))


def scales_of(config: DynamicsConfig, data: Data) -> Scales:
    """From all rows; 1 for columns that do not change."""
    there = (jnp.arange(len(data.inputs)) < data.size)[:, None]

    def moments(values):
        mean = jnp.mean(values, axis=0, where=there)
        deviation = jnp.sqrt(jnp.mean((values - mean) ** 2, axis=0, where=there))
        return mean, jnp.where(deviation > _NEVER_ZERO, deviation, 1.0)

    mean, scale = moments(data.inputs)
    target_scale = moments(data.targets)[1]
    if not config.scaled_targets:
        target_scale = jnp.ones_like(target_scale)
    return Scales(mean, scale, target_scale)


def negative_log_likelihood(mean, log_variance, targets) -> jax.Array:
    """(mean - y)^2 exp(-lv) + lv `[..., no]`: twice the likelihood's, but for a constant."""
    return (mean - targets) ** 2 * jnp.exp(-log_variance) + log_variance


def fit(
    config: DynamicsConfig,
    network: DynamicsNetwork,
    state: Fit,
    data: Data,
    split_key: jax.Array,
    key: jax.Array,
) -> Fitted:
    """One network's round: epochs of minibatches until it no longer improves on held-out rows.

    Args:
      config: numbers and sizes.
      network: of all members.
      state: where it starts.
      data: rows that are not there are never looked at.
      split_key: of the held-out rows, which all members share.
      key: of this member's bootstrap and order.
    """
    count = len(data.inputs)
    scales = scales_of(config, data)
    inputs = (data.inputs - scales.input_mean) / scales.input_scale
    targets = data.targets / scales.target_scale
    shuffled = _first_shuffled(split_key, count, data.size)
    held = jnp.int32(config.holdout * data.size)  # the first rows of `shuffled`
    size = data.size - held
    draw_key, epochs_key = jax.random.split(key)
    rows = seen_rows(config, shuffled, held, size, draw_key)
    descend = functools.partial(_epoch, config, network, inputs, targets, rows, size)
    judge = functools.partial(_score, config, network, inputs, targets, shuffled, held)
    state = state._replace(member=Member(state.member.params, scales))

    def going(carry):
        epoch, since = carry[0], carry[1]
        patient = jnp.bool_(True) if not config.patience else since < config.patience
        return (epoch < config.epochs) & (patient | (held == 0))

    def once(carry):
        epoch, since, state, best, best_score, _ = carry
        state, loss, error = descend(state, jax.random.fold_in(epochs_key, epoch))
        score = jnp.where(held > 0, judge(state.member.params)[0], error)
        better = score < best_score * (1.0 - config.improvement)
        keep = better | (held == 0)
        best = jax.tree.map(lambda new, old: jnp.where(keep, new, old), state, best)
        best_score = jnp.where(keep, score, best_score)
        since = jnp.where(better, 0, since + 1)
        return epoch + 1, since, state, best, best_score, loss

    start = jnp.where(held > 0, judge(state.member.params)[0], jnp.inf)
    carry = jnp.int32(0), jnp.int32(0), state, state, start, jnp.float32(0.0)
    _, _, _, best, score, loss = jax.lax.while_loop(going, once, carry)
    holdout_loss = jnp.where(held > 0, judge(best.member.params)[1], jnp.nan)
    return Fitted(best, loss, holdout_loss, score)


def seen_rows(config: DynamicsConfig, shuffled: jax.Array, held, size, key) -> jax.Array:
    """Rows `[C]`, of which a member sees the first `size`: those after `held`, or drawn of them."""
    count = len(shuffled)
    drawn = jnp.arange(count) % jnp.maximum(size, 1)
    if config.bootstrap:
        drawn = jax.random.randint(key, (count,), 0, jnp.maximum(size, 1))
    return shuffled[jnp.minimum(held + drawn, count - 1)]


def _first_shuffled(key: jax.Array, count: int, size: jax.Array) -> jax.Array:
    """The first `size` of `count` rows in any order, then the others."""
    ranks = jax.random.uniform(key, (count,))
    return jnp.argsort(jnp.where(jnp.arange(count) < size, ranks, 2.0))


def _epoch(config: DynamicsConfig, network, inputs, targets, rows, size, state: Fit, key):
    """Each of the first `size` rows once, in any order; loss and squared error, means over them."""
    order = rows[_first_shuffled(key, len(rows), size)]
    batch = config.batch_size
    order = jnp.pad(order, (0, -len(order) % batch))

    def step(i, carry):
        params, optimizer, total, error = carry
        places = jax.lax.dynamic_slice_in_dim(order, i * batch, batch)
        there = (i * batch + jnp.arange(batch) < size)[:, None]

        def loss(params):
            mean, log_variance = network.apply(params, inputs[places])
            each = negative_log_likelihood(mean, log_variance, targets[places])
            likelihood = jnp.mean(each, where=there)
            squares = jnp.mean((mean - targets[places]) ** 2, where=there)
            return likelihood + _penalties(config, params), (likelihood, squares)

        gradients, (value, squares) = jax.grad(loss, has_aux=True)(params)
        directions, optimizer = _ADAM.update(gradients, optimizer)
        updates = jax.tree.map(lambda d: -config.learning_rate * d, directions)
        share = there.sum() / jnp.maximum(size, 1)
        params = optax.apply_updates(params, updates)
        return params, optimizer, total + share * value, error + share * squares

    carry = state.member.params, state.optimizer, jnp.float32(0.0), jnp.float32(0.0)
    batches = -(-size // batch)
    params, optimizer, loss, error = jax.lax.fori_loop(0, batches, step, carry)
    return Fit(Member(params, state.member.scales), optimizer), loss, error


def _penalties(config: DynamicsConfig, params) -> jax.Array:
    """Weight decay by layer, and the widths of the bounds on the log-variance."""
    layers = params['params']
    last = config.hidden_layers
    weights = [config.weight_decay_first, *[config.weight_decay] * (last - 1)]
    total: Any = 0.0
    for i, weight in enumerate([*weights, config.weight_decay_last]):
        total += 0.5 * weight * jnp.sum(layers[f'Dense_{i}']['kernel'] ** 2)
    if config.learned_bounds:
        widths = jnp.sum(layers['max_log_variance']) - jnp.sum(layers['min_log_variance'])
        total += config.bounds_weight * widths
    return total


def _score(config, network, inputs, targets, shuffled, held, params):
    """Mean squared error and likelihood loss over the first `held` of the shuffled rows."""
    batch = min(_SCORED_AT_ONCE, len(shuffled))
    order = jnp.pad(shuffled, (0, -len(shuffled) % batch))

    def step(i, totals):
        places = jax.lax.dynamic_slice_in_dim(order, i * batch, batch)
        there = (i * batch + jnp.arange(batch) < held)[:, None]
        mean, log_variance = network.apply(params, inputs[places])
        each = (
            (mean - targets[places]) ** 2,
            negative_log_likelihood(mean, log_variance, targets[places]),
        )
        return tuple(
            total + jnp.sum(jnp.where(there, x, 0.0)) for total, x in zip(totals, each, strict=True)
        )

    zeros = jnp.float32(0.0), jnp.float32(0.0)
    sums = jax.lax.fori_loop(0, -(-held // batch), step, zeros)
    numbers = jnp.maximum(held, 1) * targets.shape[-1]
    return tuple(total / numbers for total in sums)
