"""Probabilistic networks of changes, held against closed forms, NumPy and a known linear system."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.config import DynamicsConfig
from mpq_jax.dynamics.learned import DynamicsNetwork, Member, Scales, predict
from mpq_jax.dynamics.learned.network import bounded
from mpq_jax.learning import dynamics_fitting
from mpq_jax.learning.dynamics_fitting import Data, seen_rows
from mpq_jax.learning.model_errors import predictive_moments

PLAIN = DynamicsConfig(
    hidden_width=16, hidden_layers=2, holdout=0.0, scaled_targets=False, learned_bounds=False,
    weight_decay_first=0.0, weight_decay=0.0, weight_decay_last=0.0, patience=0, bootstrap=False,
    batch_size=64, learning_rate=3e-3, epochs=400,
)  # fmt: skip


@functools.cache
def fitting(config, outputs):
    network = DynamicsNetwork(config, outputs)
    return network, jax.jit(functools.partial(dynamics_fitting.fit, config, network))


def fitted(config, inputs, targets, size=None, seed=0):
    network, fit = fitting(config, targets.shape[1])
    start = dynamics_fitting.fresh(network, inputs.shape[1], jax.random.key(seed))
    size = len(inputs) if size is None else size
    data = Data(jnp.asarray(inputs), jnp.asarray(targets), jnp.int32(size))
    return network, fit(start, data, jax.random.key(1), jax.random.key(seed + 2))


def test_the_optimum_for_one_input_is_the_mean_and_the_logarithm_of_the_mean_square():
    """Loss 1 + log MSE an output; no constants, no factor of a half."""
    targets = np.random.default_rng(0).normal([0.3, -0.2], [0.5, 0.1], (256, 2)).astype('f')
    network, result = fitted(PLAIN, np.zeros((256, 1), 'f'), targets)
    mean, deviation = predict(network, result.fit.member, jnp.zeros(1))
    np.testing.assert_allclose(mean, targets.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(deviation, targets.std(axis=0), rtol=0.05)
    best = np.mean(1 + np.log(targets.var(axis=0)))
    np.testing.assert_allclose(result.loss, best, atol=0.03)


@pytest.mark.parametrize('low, high', [(-10.0, 0.5), (-4.0, -3.0)])
def test_the_log_variance_is_within_its_bounds(low, high):
    raw = jnp.concatenate([jnp.linspace(-1e3, 1e3, 401), jnp.linspace(low, high, 20)])
    found = np.asarray(bounded(raw, jnp.float32(low), jnp.float32(high)))
    within = np.log1p(np.exp(low - high))  # by which the upper bound is soft
    assert (found >= low).all() and (found <= high + within + 1e-5).all()
    assert (np.diff(found[:401]) >= 0).all() and found[0] < found[400]


def test_scales_are_of_the_rows_that_are_there_and_one_where_nothing_changes():
    inputs = np.random.default_rng(1).normal(3.0, 2.0, (64, 3)).astype('f')
    inputs[:, 1] = 7.0
    inputs[40:] = 1e6  # not there
    data = Data(jnp.asarray(inputs), jnp.asarray(inputs), jnp.int32(40))
    scales = dynamics_fitting.scales_of(dataclasses.replace(PLAIN, scaled_targets=True), data)
    np.testing.assert_allclose(scales.input_mean, inputs[:40].mean(axis=0), rtol=1e-5)
    expected = inputs[:40].std(axis=0)
    expected[1] = 1.0
    np.testing.assert_allclose(scales.input_scale, expected, rtol=1e-5)
    np.testing.assert_allclose(scales.target_scale, expected, rtol=1e-5)


def test_other_scales_change_a_prediction_through_the_inputs_alone():
    network = DynamicsNetwork(PLAIN, 2)
    params = network.init(jax.random.key(0), jnp.zeros(3))
    x = jnp.array([0.3, -1.0, 2.0])
    unit = Scales(jnp.zeros(3), jnp.ones(3), jnp.ones(2))
    moved = Scales(x, jnp.array([2.0, 3.0, 4.0]), jnp.array([5.0, 6.0]))
    there = x + jnp.array([2.0, 3.0, 4.0]) * x
    for at_unit, at_moved in zip(
        predict(network, Member(params, unit), x),
        predict(network, Member(params, moved), there),
        strict=True,
    ):
        np.testing.assert_allclose(at_moved, at_unit * moved.target_scale, rtol=1e-5)


def test_members_draw_their_data_with_replacement():
    """63.2 % of the rows, other ones for each member; held-out and missing rows never."""
    shuffled = jax.random.permutation(jax.random.key(0), 5000)
    config = dataclasses.replace(PLAIN, bootstrap=True)
    held, size = 500, 4000
    drawn = [
        np.asarray(seen_rows(config, shuffled, held, size, key))[:size]
        for key in jax.random.split(jax.random.key(1), 2)
    ]
    allowed = np.asarray(shuffled)[held : held + size]
    for rows in drawn:
        assert np.isin(rows, allowed).all()
        assert abs(len(np.unique(rows)) / size - (1 - np.exp(-1))) < 0.02
    assert 0.3 < np.isin(drawn[0], drawn[1]).mean() < 0.9
    whole = np.asarray(seen_rows(PLAIN, shuffled, held, size, jax.random.key(1)))[:size]
    assert (np.sort(whole) == np.sort(allowed)).all()


def test_the_moments_of_a_mixture_are_those_of_its_samples():
    rng = np.random.default_rng(2)
    means, deviations = rng.normal(size=(5, 3)), rng.uniform(0.2, 1.0, (5, 3))
    mean, variance = predictive_moments(jnp.asarray(means), jnp.asarray(deviations))
    which = rng.integers(5, size=400_000)
    drawn = rng.normal(means[which], deviations[which])
    np.testing.assert_allclose(mean, drawn.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(variance, drawn.var(axis=0), rtol=0.01)


def linear_data(count, seed=3):
    """y = A x + e, with noise of its own for each output."""
    rng = np.random.default_rng(seed)
    matrix = np.array([[0.5, -0.3, 0.8], [-0.2, 0.9, 0.4]])
    x = rng.uniform(-1, 1, (count, 3))
    y = x @ matrix.T + rng.normal(size=(count, 2)) * [0.05, 0.2]
    return matrix, x.astype('f'), y.astype('f')


def test_a_linear_gaussian_system_is_recovered():
    """Its matrix, and the deviation of the noise of each output, on data that nobody saw."""
    config = dataclasses.replace(PLAIN, scaled_targets=True, learned_bounds=True, bounds_weight=0.0)
    matrix, x, y = linear_data(1000)
    network, result = fitted(config, x, y)
    _, unseen, _ = linear_data(400, seed=4)
    means, deviations = predict(network, result.fit.member, jnp.asarray(unseen))
    slope = np.linalg.lstsq(unseen, np.asarray(means), rcond=None)[0].T
    np.testing.assert_allclose(slope, matrix, atol=0.04)
    np.testing.assert_allclose(np.median(deviations, axis=0), [0.05, 0.2], rtol=0.15)


def test_a_member_stops_where_it_no_longer_improves_and_keeps_its_best():
    """Few noisy rows, many weights: it would learn them by heart."""
    config = dataclasses.replace(PLAIN, epochs=300, holdout=0.5, patience=3, hidden_width=64)
    _, x, y = linear_data(60)
    _, stopped = fitted(config, x, y)
    _, never = fitted(dataclasses.replace(config, patience=0), x, y)
    assert never.loss < stopped.loss  # it went on, on the data it sees
    assert stopped.score >= never.score  # the best of all epochs is no worse than the first bests
    _, last = fitted(dataclasses.replace(config, holdout=0.0, patience=0), x, y)
    assert np.isnan(last.holdout_loss)


def test_rows_that_are_not_there_are_never_looked_at():
    config = dataclasses.replace(PLAIN, epochs=3, holdout=0.25, bootstrap=True)
    _, x, y = linear_data(100)
    broken_x, broken_y = x.copy(), y.copy()
    broken_x[70:], broken_y[70:] = np.nan, np.nan
    _, sound = fitted(config, x, y, size=70)
    _, beside = fitted(config, np.nan_to_num(broken_x), np.nan_to_num(broken_y), size=70)
    for ours, theirs in zip(jax.tree.leaves(sound), jax.tree.leaves(beside), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_weight_decay_is_by_layer():
    """A heavy one on a layer alone leaves that layer's weights near zero."""
    _, x, y = linear_data(200)

    def sizes(**fields):
        config = dataclasses.replace(PLAIN, epochs=60, **fields)
        layers = fitted(config, x, y)[1].fit.member.params['params']
        return {name: float(jnp.abs(layers[name]['kernel']).mean()) for name in layers}

    free = sizes()
    for name, field in (
        ('Dense_0', 'weight_decay_first'),
        ('Dense_1', 'weight_decay'),
        ('Dense_2', 'weight_decay_last'),
    ):
        shares = {n: size / free[n] for n, size in sizes(**{field: 3.0}).items()}
        assert min(shares, key=shares.get) == name and shares[name] < 0.3, shares
