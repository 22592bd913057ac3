"""DMD-MPC and CEM against closed forms of Gaussians and against NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mpq_jax.config import DMDConfig, PlannerConfig
from mpq_jax.config.planners import planner_config
from mpq_jax.config.planners.dmd_config import CONVENTIONS, COVARIANCES, LOSSES
from mpq_jax.planning import dmd, mppi
from mpq_jax.planning.free_energy import free_energy
from mpq_jax.planning.planner import Candidates

# C(u) = (u - c)^2 / 2s, u ~ N(m, Sigma).
MEAN, SIGMA, C, S, TEMPERATURE = 1.0, 4.0, 3.0, 2.0, 0.5
MANY = 200_000


def config(**fields):
    return DMDConfig(horizon=1, temperature=TEMPERATURE, noise_variance=SIGMA, **fields)


def step(config, plan, costs_of, key=0):
    """The next plan from samples, costs of whose unclipped controls are as a function says."""
    drawn = dmd.sample(config, plan, jax.random.key(key)).drawn
    costs = costs_of(plan.mean + drawn)
    return dmd.update(config, plan, Candidates(jnp.zeros_like(drawn), drawn), costs)


def quadratic(controls):
    return ((controls - C) ** 2 / (2 * S)).sum(axis=(1, 2))


def at_mean(config, mean=MEAN, size=1):
    plan = dmd.init(config, size)
    return plan._replace(mean=jnp.full_like(plan.mean, mean))


@pytest.mark.parametrize('covariance', COVARIANCES[1:])
def test_exponential_utility_is_the_posterior_of_a_gaussian(covariance):
    """Step 1: m' = (m/Sigma + c/(lambda s)) / precision, precision = 1/Sigma + 1/(lambda s)."""
    c = config(
        covariance=covariance, num_samples=MANY, step_size=1.0, covariance_step_size=1.0,
        covariance_floor=1e-3,
    )  # fmt: skip
    after = step(c, at_mean(c), quadratic).plan
    precision = 1 / SIGMA + 1 / (TEMPERATURE * S)
    np.testing.assert_allclose(np.ravel(after.mean), 2.6, atol=0.02)
    np.testing.assert_allclose(np.ravel(after.covariance), 1 / precision, rtol=0.03)
    again = step(c, after, quadratic, key=1).plan
    expected = 1 / SIGMA + 2 / (TEMPERATURE * S)
    np.testing.assert_allclose(np.ravel(again.covariance), 1 / expected, rtol=0.03)


@pytest.mark.parametrize(
    'importance_sampling, mean, expected',
    [(False, 1.0, 0.60236), (False, 3.0, 0.40236), (True, 1.0, 0.85236), (True, 2.0, 0.85236)],
)
def test_free_energy_of_a_quadratic(importance_sampling, mean, expected):
    """(m - c)^2 / 2 (s + Sigma / lambda) + lambda / 2 log(1 + Sigma / lambda s).

    With the control term, towards N(0, Sigma), the value at m = 0 wherever samples are drawn.
    """
    c = config(num_samples=MANY, importance_sampling=importance_sampling)
    scores = step(c, at_mean(c, mean), quadratic).scores
    np.testing.assert_allclose(free_energy(c, scores), expected, atol=0.006)


@pytest.mark.parametrize('covariance', COVARIANCES)
@pytest.mark.parametrize('mean', [0.0, 1.0])
def test_with_importance_sampling_the_target_does_not_depend_on_the_plan(covariance, mean):
    c = config(covariance=covariance, importance_sampling=True, num_samples=MANY, step_size=1.0)
    expected = (C / (TEMPERATURE * S)) / (1 / SIGMA + 1 / (TEMPERATURE * S))
    after = step(c, at_mean(c, mean), quadratic)
    np.testing.assert_allclose(np.ravel(after.plan.mean), expected, atol=0.04)


@pytest.mark.parametrize('covariance', COVARIANCES[1:])
@pytest.mark.parametrize('scale', [0.75, 1.5])
def test_the_inner_mean_of_the_free_energy_does_not_depend_on_the_covariance(covariance, scale):
    """E[exp(-(C + control term) / lambda)] within four standard errors of its closed form."""
    c = config(covariance=covariance, importance_sampling=True, num_samples=MANY)
    plan = at_mean(c, 0.5)._replace(covariance=scale * dmd.init(c, 1).covariance)
    scores = step(c, plan, quadratic).scores
    inner = np.exp(-np.asarray(scores, float) / TEMPERATURE)
    spread = S + SIGMA / TEMPERATURE
    free = C**2 / (2 * spread) + TEMPERATURE / 2 * np.log(1 + SIGMA / (TEMPERATURE * S))
    error = inner.std() / np.sqrt(MANY)
    assert abs(inner.mean() - np.exp(-free / TEMPERATURE)) < 4 * error


@pytest.mark.parametrize(
    ('convention', 'expected'), [('exact', 3.04), ('old_mean', 3.68), ('new_mean', 2.72)]
)
@pytest.mark.parametrize('covariance', COVARIANCES[1:])
def test_conventions_of_the_covariance(convention, expected, covariance):
    """From m = 1, Sigma = 4 to a weighted mean of 2.6 and a weighted covariance of 0.8, half."""
    noise = 1.6 + np.sqrt(0.8) * jnp.array([-1.0, 1.0])[:, None, None]
    c = config(
        covariance=covariance, convention=convention, num_samples=2, step_size=0.5,
        covariance_step_size=0.5,
    )  # fmt: skip
    after = dmd.update(c, at_mean(c), Candidates(noise, noise), jnp.zeros(2)).plan
    np.testing.assert_allclose(np.ravel(after.mean), 1.8, rtol=1e-6)
    np.testing.assert_allclose(np.ravel(after.covariance), expected, rtol=1e-5)


def test_expected_cost_and_exponential_utility_agree_on_linear_costs():
    """m' = m - gamma Sigma a (the utility at gamma lambda)."""
    slope = 0.3
    for loss, size in (('expected_cost', 0.5), ('exponential_utility', 0.5 * TEMPERATURE)):
        c = config(loss=loss, step_size=size, num_samples=MANY, covariance='fixed')
        mean = step(c, at_mean(c), lambda u: slope * u[:, 0, 0]).plan.mean
        np.testing.assert_allclose(np.ravel(mean), MEAN - 0.5 * SIGMA * slope, atol=0.02)


def test_low_cost_keeps_the_tail_of_a_gaussian():
    c = dataclasses.replace(planner_config('cem'), horizon=1, num_samples=MANY)
    c = dataclasses.replace(c, noise_variance=SIGMA, elite_fraction=0.1)
    after = step(c, at_mean(c), lambda u: u[:, 0, 0] ** 3).plan  # any increasing transform
    z = norm.ppf(0.1)
    ratio = norm.pdf(z) / 0.1
    np.testing.assert_allclose(np.ravel(after.mean), MEAN - 2.0 * ratio, atol=0.02)
    variance = SIGMA * (1 - z * norm.pdf(z) / 0.1 - ratio**2)
    np.testing.assert_allclose(np.ravel(after.covariance), variance, rtol=0.03)


def test_it_is_the_update_of_mppi_where_it_has_its_settings():
    """Bit for bit: the covariance fixed, the control term on."""
    fields = {'horizon': 5, 'num_samples': 32, 'temperature': 0.3, 'noise_variance': 0.7}
    ours = DMDConfig(covariance='fixed', importance_sampling=True, step_size=0.6, **fields)
    theirs = PlannerConfig(step_size=0.6, **fields)
    controls = 0.3 * jax.random.normal(jax.random.key(0), (5, 2))
    drawn = mppi.sample(theirs, controls, jax.random.key(1))
    same = dmd.sample(ours, dmd.Gaussian(controls), jax.random.key(1))
    np.testing.assert_array_equal(same.actions, drawn.actions)
    costs = jax.random.normal(jax.random.key(2), (32,)).at[3].set(jnp.inf)
    expected = mppi.update(theirs, controls, drawn, costs)
    found = dmd.update(ours, dmd.Gaussian(controls), same, costs)
    np.testing.assert_array_equal(found.plan.mean, expected.plan)
    np.testing.assert_array_equal(found.scores, expected.scores)


def random_plan(c, key, size):
    plan = dmd.init(c, size)
    square = jax.random.normal(key, (c.horizon, size, size))
    full = square @ jnp.swapaxes(square, 1, 2) + 0.2 * jnp.eye(size)
    forms = {'fixed': (), 'diagonal': jnp.abs(square[..., 0]) + 0.2, 'full': full}
    return plan._replace(covariance=forms.get(c.covariance, full[0]))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(LOSSES), st.sampled_from(COVARIANCES[1:]), st.sampled_from(CONVENTIONS),
    st.floats(0, 4), st.floats(0, 1), st.integers(0, 99),
)  # fmt: skip
def test_covariances_stay_symmetric_and_above_their_floor(
    loss, covariance, convention, mean_step, step_size, seed
):
    c = DMDConfig(
        horizon=3, num_samples=8, loss=loss, covariance=covariance, convention=convention,
        step_size=mean_step, covariance_step_size=step_size, noise_variance=0.5,
        covariance_floor=0.1, elite_fraction=0.25,
    )  # fmt: skip
    keys = jax.random.split(jax.random.key(seed), 2)
    plan = random_plan(c, keys[0], 2)
    costs = (3 * jax.random.normal(keys[1], (8,))).at[0].set(jnp.inf)
    after = dmd.update(c, plan, dmd.sample(c, plan, keys[0]), costs).plan
    assert np.isfinite(after.mean).all()
    if covariance == 'diagonal':
        assert (after.covariance >= 0.05 - 1e-6).all()
        return
    np.testing.assert_allclose(after.covariance, np.swapaxes(after.covariance, -1, -2), atol=1e-5)
    assert (np.linalg.eigvalsh(after.covariance) >= 0.05 - 1e-4).all()


@pytest.mark.parametrize('name', ['dmd', 'cem'])
def test_the_order_of_samples_and_a_constant_do_not_matter(name):
    c = dataclasses.replace(planner_config(name), horizon=2, num_samples=20)
    plan = dmd.init(c, 1)
    candidates = dmd.sample(c, plan, jax.random.key(0))
    costs = jax.random.normal(jax.random.key(1), (20,))
    order = jax.random.permutation(jax.random.key(2), 20)
    mixed = jax.tree.map(lambda x: x[order], candidates)
    first = dmd.update(c, plan, candidates, costs).plan
    second = dmd.update(c, plan, mixed, costs[order] + 7.0).plan
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), first, second)


def test_the_shift_drops_a_step_and_grows_the_rest():
    c = DMDConfig(horizon=3, noise_variance=0.5, covariance_growth=0.2, covariance='full')
    plan = random_plan(c, jax.random.key(0), 2)._replace(mean=jnp.arange(6.0).reshape(3, 2))
    after = dmd.shift(c, plan)
    np.testing.assert_array_equal(after.mean, [[2, 3], [4, 5], [0, 0]])
    np.testing.assert_allclose(after.covariance[:2], plan.covariance[1:] + 0.1 * np.eye(2))
    np.testing.assert_allclose(after.covariance[2], 0.5 * np.eye(2))


def test_the_shift_puts_back_what_it_does_not_keep():
    c = DMDConfig(horizon=3, noise_variance=0.5, covariance_kept=0.25, covariance='full')
    plan = random_plan(c, jax.random.key(0), 2)
    after = dmd.shift(c, plan).covariance[:2]
    np.testing.assert_allclose(after, 0.25 * plan.covariance[1:] + 0.375 * np.eye(2), rtol=1e-6)
    forgets = dataclasses.replace(c, covariance_kept=0.0)
    np.testing.assert_allclose(dmd.shift(forgets, plan).covariance, [0.5 * np.eye(2)] * 3)
