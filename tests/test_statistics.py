"""Intervals over seeds: how often they hold the truth, and how wide they are.

`python -m tests.test_statistics` prints the table of coverages.
"""

import itertools
import tracemalloc

import numpy as np
import pytest

from mpq_jax.base.statistics import (
    against,
    better,
    confidence_interval,
    describe_mean,
    interquartile_mean,
)

SEEDS = (5, 8, 10, 20)
EPISODES = 100  # a seed, of every rate
REPEATS = 10_000

# name -> (draws of a shape, their mean, the largest mean width at 5, 8, 10, 20 seeds)
RETURNS = {
    'normal, sd 1': (lambda rng, shape: rng.normal(size=shape), 0.0, (2.8, 1.75, 1.5, 1.0)),
    'exponential, mean 1': (
        lambda rng, shape: rng.exponential(size=shape), 1.0, (2.6, 1.7, 1.45, 1.0)
    ),
    'lognormal, sigma 0.5': (
        lambda rng, shape: rng.lognormal(0.0, 0.5, shape), np.exp(0.125), (1.6, 1.05, 0.9, 0.6)
    ),
}  # fmt: skip
# mean -> (a + b of the Beta distribution of the seeds' rates, the largest mean widths)
RATES = {
    0.05: ((20, 50, 200), (0.13, 0.09, 0.08, 0.05)),
    0.5: ((20, 50, 200), (0.30, 0.21, 0.18, 0.125)),
    0.95: ((20, 50, 200), (0.13, 0.09, 0.08, 0.05)),
    0.02: ((100, 200), (0.055, 0.035, 0.03, 0.02)),
    0.98: ((100, 200), (0.055, 0.035, 0.03, 0.02)),
}


def coverage_of_returns(name, seeds, repeats=REPEATS):
    """(share of intervals that hold the mean, their mean width)."""
    draw, mean, _ = RETURNS[name]
    low, high = confidence_interval(draw(np.random.default_rng(seeds), (seeds, repeats)))
    return np.mean((low <= mean) & (mean <= high)), np.mean(high - low)


def coverage_of_rates(mean, concentration, seeds, repeats=REPEATS):
    """The same for success; the third is the largest width."""
    rng = np.random.default_rng(seeds)
    rates = rng.beta(mean * concentration, (1 - mean) * concentration, (seeds, repeats))
    measured = rng.binomial(EPISODES, rates) / EPISODES
    low, high = confidence_interval(measured, EPISODES)
    assert (low >= 0).all() and (high <= 1).all() and (high > low).all()
    assert (low <= measured.mean(axis=0)).all() and (measured.mean(axis=0) <= high).all()
    return np.mean((low <= mean) & (mean <= high)), np.mean(high - low), np.max(high - low)


@pytest.mark.parametrize('seeds', SEEDS)
@pytest.mark.parametrize('name', RETURNS)
def test_intervals_of_returns_hold_the_mean(name, seeds):
    covered, width = coverage_of_returns(name, seeds)
    assert covered >= 0.90 and width <= RETURNS[name][2][SEEDS.index(seeds)]


@pytest.mark.parametrize('seeds', SEEDS)
@pytest.mark.parametrize('mean', RATES)
def test_intervals_of_success_hold_the_rate(mean, seeds):
    concentrations, widths = RATES[mean]
    for concentration in concentrations:
        covered, width, widest = coverage_of_rates(mean, concentration, seeds)
        assert covered >= 0.90, concentration
        assert width <= widths[SEEDS.index(seeds)] and widest < 1.0


def test_an_interval_of_normal_figures_in_closed_form():
    """Five figures of deviation sqrt(2.5): t of 3 degrees of freedom is 3.182446."""
    half = 3.182446 * np.sqrt(2.5 / 5)
    np.testing.assert_allclose(
        confidence_interval(np.arange(1.0, 6.0)), (3.0 - half, 3.0 + half), rtol=1e-6
    )


def test_seeds_that_agree_leave_an_interval():
    """t of 4 degrees of freedom is 2.776445; the deviation is the binomial one, sqrt(1/400)."""
    half = 2.776445 * np.sqrt(1 / 400 / 5)
    centre = np.arcsin(np.sqrt(500.375 / 500.75))
    low, high = confidence_interval(np.ones(5), 100)
    assert high == 1.0 and low == pytest.approx(np.sin(centre - half) ** 2, rel=1e-6)
    assert 0.98 < low < 0.995  # the exact binomial one of 500 of 500 begins at 0.9926
    np.testing.assert_allclose(confidence_interval(np.zeros(5), 100), (1 - high, 1 - low))


@pytest.mark.parametrize('episodes', [None, 100])
def test_fewer_than_five_seeds_have_no_interval(episodes):
    table = np.random.default_rng(0).uniform(size=(5, 3))
    assert np.isnan(confidence_interval(table[:4], episodes)).all()
    assert np.isfinite(confidence_interval(table, episodes)).all()
    table[2, 1] = np.nan  # a seed without this episode
    low, high = confidence_interval(table, episodes)
    np.testing.assert_array_equal(np.isnan([low, high]), [[False, True, False]] * 2)


@pytest.mark.parametrize('episodes', [None, np.arange(1, 8)])
def test_a_table_of_episodes_is_its_columns(episodes):
    """Rows that end early are left out of later episodes."""
    table = np.random.default_rng(0).uniform(size=(7, 7))
    table[0, 4:] = np.nan
    low, high = confidence_interval(table, episodes)
    for column in range(7):
        own = table[np.isfinite(table[:, column]), column]
        number = None if episodes is None else int(episodes[column])
        np.testing.assert_allclose(
            (low[column], high[column]), confidence_interval(own, number), rtol=1e-12
        )


def test_a_band_takes_no_more_than_some_copies_of_its_table():
    table = np.random.default_rng(0).uniform(size=(64, 700))
    confidence_interval(table[:, :2], 1)  # loads scipy
    tracemalloc.start()
    confidence_interval(table, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 12 * table.nbytes


@pytest.mark.parametrize(
    ('values', 'expected'),
    [
        ([0.0, 6.0, 30.0], (0.25 * 0 + 6 + 0.25 * 30) / 1.5),
        ([100.0, 1.0, 3.0, 8.0, 0.0], (0.75 * 1 + 3 + 0.75 * 8) / 2.5),
        ([1.0, 2.0, 3.0, 7.0, 9.0, 11.0, 50.0, -90.0], (2 + 3 + 7 + 9) / 4),
    ],
)
def test_the_interquartile_mean_is_of_the_middle_half(values, expected):
    found = interquartile_mean(np.array(values))
    assert found == pytest.approx(expected)
    assert abs(found - np.mean(values)) > 0.1 and abs(found - np.median(values)) > 0.1
    np.testing.assert_allclose(interquartile_mean(np.array([values, values]).T), [expected] * 2)


def test_a_mean_in_words():
    assert describe_mean(np.array([7.4])) == '7'
    assert describe_mean(np.array([36.0, 34.0]), 1) == '35.0 (36.0, 34.0)'
    assert describe_mean(np.array([0.0, 0.25, 0.5, 1.0]), 2, 20) == '0.44 (0.00, 0.25, 0.50, 1.00)'
    assert describe_mean(np.arange(1.0, 6.0), 2) == '3.00 [0.75, 5.25]'
    assert describe_mean(np.ones(5), 2, 100) == '1.00 [0.99, 1.00]'


def test_better_than_a_reference_is_of_pairs():
    """Seeds far apart, the reference with them: only their differences count."""
    far_apart = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    for gain, expected in (
        ([1.0, 1.1, 0.9, 1.0, 1.2], True),
        ([5.0, 0.1, -0.2, 0.1, 0.0], False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], False),
        ([1.0, 1.0, 1.0], True),
        ([1.0, 1.0, 0.0], False),
    ):
        reference = far_apart[: len(gain)]
        assert better(reference + np.array(gain), reference) is expected


def test_a_reference_is_compared_on_the_seeds_that_both_have():
    reference = dict(enumerate([0.1, 0.2, 0.3]))
    assert against({1: 0.4, 2: 0.5, 7: 0.0}, reference) == 'better'
    assert against({0: 0.0, 1: 0.4, 2: 0.5}, reference) == 'not better'
    assert against({8: 1.0}, reference) == against({0: 1.0}, None) == ''


def print_coverage(repeats=100_000):
    """A markdown table: nominal 95 %, each row of so many repeats."""
    print('| figures | seeds | coverage | mean width |\n|---|---|---|---|')
    for name, seeds in itertools.product(RETURNS, SEEDS):
        covered, width = coverage_of_returns(name, seeds, repeats)
        print(f'| returns: {name} | {seeds} | {covered:.3f} | {width:.2f} |')
    for mean, (concentrations, _) in RATES.items():
        for concentration, seeds in itertools.product(concentrations, SEEDS):
            covered, width, _ = coverage_of_rates(mean, concentration, seeds, repeats)
            name = f'success of {EPISODES}: Beta, mean {mean}, a + b = {concentration}'
            print(f'| {name} | {seeds} | {covered:.3f} | {width:.3f} |')


if __name__ == '__main__':
    print_coverage()
