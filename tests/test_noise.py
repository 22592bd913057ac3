"""Noise of plans against dense Gaussian integrals, conditional means and splines in NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import DMDConfig, PlannerConfig
from mpq_jax.config.planners import planner_config
from mpq_jax.planning import dmd, mppi, noise
from mpq_jax.planning.planner import Candidates, state_value
from mpq_jax.planning.planners import load_planner
from mpq_jax.runs.metrics import read_rows
from mpq_jax.sweep.grid import Grid, product
from tests.conftest import tiny_lq_config

H, K, NU, SIGMA, TEMPERATURE, MANY = 6, 3, 2, 0.6, 0.5, 100_000
KINDS = {
    'white': {},
    'linear': {'noise': 'knots', 'knots': K},
    'cubic': {'noise': 'knots', 'knots': 4, 'interpolation': 'cubic'},
    'constant': {'noise': 'knots', 'knots': 1},
    'coloured': {'noise': 'coloured', 'colour': 1.5},
    'brown': {'noise': 'coloured', 'colour': 2.0},
}


def config(kind, cls=PlannerConfig, **fields):
    """Of a kind of noise, on a small problem."""
    fields = {'horizon': H, 'num_samples': MANY} | KINDS[kind] | fields
    return cls(temperature=TEMPERATURE, noise_variance=SIGMA, **fields)


def hats(instants, knots):
    """Linear interpolation: of each knot the share that falls off to its neighbours."""
    places = np.linspace(0, H - 1, knots)
    distance = np.abs(instants[:, None] - places) / (places[1] - places[0])
    return np.maximum(1 - distance, 0)


def covariance(c):
    """Of the noise on the controls of one action `[H, H]`, in float64."""
    steps = np.arange(H)
    if c.noise == 'knots':
        weights = np.ones((H, 1))
        if c.knots > 1 and c.interpolation == 'linear':
            weights = hats(steps, c.knots)
        elif c.knots > 1:
            places = np.linspace(0, H - 1, c.knots)
            weights = CubicSpline(places, np.eye(c.knots), bc_type='natural')(steps)
        return SIGMA * weights @ weights.T
    power = np.array([max(abs(k), 2) for k in range(-H + 1, H + 1)], float)  # 2 H periods
    power **= -(c.colour if c.noise == 'coloured' else 0.0)
    lags = steps[:, None] - steps
    waves = np.cos(np.pi * np.arange(-H + 1, H + 1) * lags[..., None] / H)
    return SIGMA * (waves @ power) / power.sum()


@pytest.fixture(scope='module')
def problem():
    """(Q, c) of the cost 1/2 (u - c)^T Q (u - c) of the controls, action by action."""
    rng = np.random.default_rng(0)
    square = rng.normal(size=(H, H)) / 3
    return square @ square.T + 0.1 * np.eye(H), rng.normal(size=(H, NU))


def costs_of(problem, controls):
    away = controls - jnp.asarray(problem[1], jnp.float32)
    return 0.5 * jnp.einsum('nhi,hk,nki->n', away, jnp.asarray(problem[0], jnp.float32), away)


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('size', [0.0, 0.3])
def test_the_control_term_makes_values_those_of_the_prior_whatever_the_plan(kind, size, problem):
    """E[exp(-S / lambda)] and the posterior mean, against a dense Gaussian integral."""
    c = config(kind, step_size=1.0)
    plan = size * jax.random.normal(jax.random.key(1), (noise.size(c), NU))
    drawn = mppi.sample(c, plan, jax.random.key(0)).drawn
    costs = costs_of(problem, noise.controls(c, plan + drawn))
    after = mppi.update(c, plan, Candidates(drawn, drawn), costs)
    stiffness, centre = problem
    prior = covariance(c)
    inner = np.exp(-np.asarray(after.scores, float) / TEMPERATURE)
    together = np.linalg.inv(stiffness) + prior / TEMPERATURE
    logs = np.linalg.slogdet(np.eye(H) + stiffness @ prior / TEMPERATURE)[1]
    value = 0.5 * np.sum(centre * np.linalg.solve(together, centre)) + 0.5 * TEMPERATURE * NU * logs
    error = inner.std() / np.sqrt(MANY)
    assert abs(inner.mean() - np.exp(-value / TEMPERATURE)) < 4 * error
    mean = prior / TEMPERATURE @ np.linalg.solve(together, centre)
    np.testing.assert_allclose(noise.controls(c, after.plan), mean, atol=0.03)


@pytest.mark.parametrize('kind', ['coloured', 'brown', 'linear', 'cubic'])
def test_samples_have_the_covariance_of_their_noise(kind):
    c = config(kind)
    plan = mppi.zero_controls(c, NU)
    actions = noise.controls(c, mppi.sample(c, plan, jax.random.key(2)).drawn)
    found = np.einsum('nhi,nki->hk', actions, actions) / (MANY * NU)
    np.testing.assert_allclose(found, covariance(c), atol=0.02)


def test_white_noise_is_a_knot_at_every_control_and_the_colour_zero():
    plan = jax.random.normal(jax.random.key(0), (H, NU))
    white, key = config('white', num_samples=20), jax.random.key(1)
    knots = [{'noise': 'knots', 'knots': count} for count in (H, H + 3)]  # no more than controls
    for fields in (*knots, {'noise': 'coloured', 'colour': 0.0}):
        c = dataclasses.replace(white, **fields)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6),
            (mppi.sample(c, plan, key), noise.shift(c, plan)),
            (mppi.sample(white, plan, key), noise.shift(white, plan)),
        )


@pytest.mark.parametrize('kind', ['white', 'coloured', 'brown'])
@pytest.mark.parametrize('tail', ['zero', 'hold', 'prior'])
def test_the_shift_drops_a_control_and_appends_the_tail(kind, tail):
    c = config(kind, tail=tail)
    plan = jax.random.normal(jax.random.key(0), (H, NU))
    before = np.asarray(noise.controls(c, plan), float)
    after = noise.controls(c, noise.shift(c, plan))
    np.testing.assert_allclose(after[:-1], before[1:], atol=1e-5)
    whole = covariance(c)  # of the next given the H - 1 before it
    expected = whole[-1, :-1] @ np.linalg.solve(whole[:-1, :-1], before[1:])
    last = {'zero': 0 * before[-1], 'hold': before[-1], 'prior': expected}[tail]
    np.testing.assert_allclose(after[-1], last, atol=1e-4)


@pytest.mark.parametrize(('tail', 'last'), [('zero', 0.0), ('hold', 3.0), ('prior', 1.8)])
def test_knots_take_the_values_of_the_curve_one_step_on(tail, last):
    """At 0, 2.5 and 5: one step is 0.4 of the way to the next; 'prior': to a fourth at zero."""
    c = config('linear', tail=tail)
    after = noise.shift(c, jnp.array([[1.0], [2.0], [3.0]]))
    np.testing.assert_allclose(after[:, 0], [1.4, 2.4, last], rtol=1e-6)
    spline = config('cubic', tail=tail)
    plan = np.array([1.0, -1.0, 0.5, 2.0])
    curve = CubicSpline(np.linspace(0, H - 1, 4), plan, bc_type='natural')
    after = noise.shift(spline, jnp.asarray(plan[:, None], jnp.float32))
    np.testing.assert_allclose(after[:3, 0], curve(np.linspace(0, H - 1, 4)[:3] + 1), rtol=1e-5)


def test_a_constant_goes_on_and_covariances_move_with_their_knots():
    constant = config('constant')
    np.testing.assert_array_equal(noise.shift(constant, jnp.ones((1, 1))), [[1.0]])
    spread = noise.shift_spread(config('linear'), jnp.array([1.0, 2.0, 4.0]), jnp.array(0.0))
    np.testing.assert_allclose(spread, [1.4, 2.8, 2.4], rtol=1e-6)


@pytest.mark.parametrize('name', ['mppi', 'dmd', 'predictive_sampling', 'random_shooting'])
def test_soft_values_are_those_of_white_noise_unless_a_field_says_otherwise(name):
    def value(**fields):
        c = dataclasses.replace(planner_config(name), horizon=3, num_samples=32, **fields)
        planner = load_planner(name)
        return state_value(
            planner, c, lambda actions: jnp.sum((actions - 0.5) ** 2, axis=(1, 2)), 1,
            planner.init(c, 2), jax.random.key(0), iterations=2,
        )[0]  # fmt: skip

    knots = {'noise': 'knots', 'knots': 2}
    np.testing.assert_array_equal(value(), value(**knots))
    assert value(target_noise='acting', **knots) != value()


@pytest.mark.parametrize('covariance', ['diagonal', 'full', 'shared'])
@pytest.mark.parametrize('scale', [0.75, 1.3])
def test_targets_of_an_adapted_plan_have_the_mean_of_the_prior(covariance, scale):
    """Four dimensions; exp(-V / lambda) of many batches within four standard errors."""
    c = config(
        'white', DMDConfig, horizon=2, num_samples=64, covariance=covariance,
        target_proposal='adapted', target_floor=0.75,
    )  # fmt: skip
    plan = dmd.init(c, NU)
    plan = dmd.Gaussian(plan.mean + 0.2, scale * plan.covariance)

    def inner(key):
        value, info = state_value(
            dmd.DMD, c, lambda actions: jnp.sum((actions - 0.5) ** 2, axis=(1, 2)), 1, plan, key,
            iterations=0,
        )  # fmt: skip
        return jnp.exp(-value / TEMPERATURE), info.effective_sample_size

    means, sizes = jax.jit(jax.vmap(inner))(jax.random.split(jax.random.key(0), 4000))
    prior = np.random.default_rng(0).normal(0, np.sqrt(SIGMA), (2_000_000, 1))
    once = np.exp(-((np.clip(prior, -1, 1) - 0.5) ** 2) / TEMPERATURE)
    assert abs(np.mean(means) - once.mean() ** 4) < 4 * np.std(means) / np.sqrt(4000)
    assert 1 < np.mean(sizes) < 64
    narrow = dmd.targets(c, plan._replace(covariance=0.01 * plan.covariance))[2].covariance
    np.testing.assert_allclose(np.max(narrow), 0.75 * SIGMA, rtol=1e-5)


@pytest.mark.parametrize(
    ('field', 'fields'),
    [
        ('noise', {'noise': 'pink'}), ('knots', {'knots': 0}),
        ('interpolation', {'interpolation': 'quintic'}),
        ('colour', {'colour': 4.5}), ('tail', {'tail': 'last'}),
        ('target_noise', {'target_noise': 'knots'}),
        ('temperature_rule', {'temperature_rule': 'ess'}),
        ('target_ess', {'temperature_rule': 'target_ess', 'target_ess': 25.0}),
        ('temperature_low', {'temperature_low': 0.0}),
        ('temperature_high', {'temperature_high': 0.5}),
        ('target_floor', {'target_floor': 0.5}), ('target_proposal', {'target_proposal': 'wide'}),
        ('target_proposal', {'target_proposal': 'adapted', 'covariance': 'fixed'}),
        ('target_noise', {'target_proposal': 'adapted', 'noise': 'coloured'}),
        ('temperature_rule', {'loss': 'low_cost', 'temperature_rule': 'target_ess'}),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named(field, fields):
    with pytest.raises(ConfigError, match=rf'planner\.{field} '):
        dataclasses.replace(DMDConfig(), **fields).validate()


@pytest.mark.parametrize('name', ['mppi', 'dmd', 'predictive_sampling', 'random_shooting'])
def test_runs_of_every_noise_learn_and_say_their_sample_sizes(name, tmp_path):
    fields = {'planner.name': name, 'planner.noise': 'coloured', 'planner.tail': 'prior'}
    if name in ('mppi', 'dmd'):
        fields |= {'planner.temperature_rule': 'target_ess', 'planner.target_ess': 1.5}
    if name == 'dmd':
        fields |= {'planner.target_proposal': 'adapted', 'planner.target_noise': 'acting'}
    base = tiny_lq_config(agent='mpq', episodes=2, num_seeds=1)
    rows = read_rows(mpq_jax.train(mpq_jax.set_fields(base, fields), tmp_path / name).metrics_file)
    assert all(np.isfinite(float(row['return'])) for row in rows)
    assert all(float(row['target_effective_sample_size']) >= 1 for row in rows)
    if name in ('mppi', 'dmd'):
        missed = np.mean([float(row['ess_missed']) for row in rows])
        assert 0 <= missed < 0.5


def test_numbers_of_the_noise_are_one_batch():
    fixed = {'planner.noise': 'coloured', 'task': 'tests.conftest:lq_task', 'agent': 'mppi'}
    grid = Grid.of(fixed, product({'planner.colour': [0.5, 2.0], 'planner.target_ess': [2.0, 3.0]}))
    assert len(grid.cells()) == 1
