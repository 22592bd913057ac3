"""The planners beside MPPI: what they share, shooting, and runs of each from the command line."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import DMDConfig
from mpq_jax.config.planners import planner_config
from mpq_jax.planning import shooting
from mpq_jax.planning.planner import state_value
from mpq_jax.planning.planners import load_planner
from mpq_jax.runs.metrics import read_rows
from mpq_jax.sweep.grid import Grid, product
from tests.conftest import tiny_lq_config

HALF = {'cem': {'planner.elite_fraction': 0.5}}
NAMES = ['dmd', 'cem', 'predictive_sampling', 'random_shooting']


@pytest.mark.parametrize('name', NAMES)
def test_no_finite_cost_leaves_the_plan_as_it_was(name):
    planner = load_planner(name)
    c = dataclasses.replace(planner.config, horizon=3, num_samples=16)
    plan = planner.init(c, 2)
    candidates = planner.sample(c, plan, jax.random.key(0))
    after = planner.update(c, plan, candidates, jnp.full(16, jnp.inf))
    jax.tree.map(np.testing.assert_array_equal, after.plan, plan)
    assert not after.weights.any()


def test_shooting_takes_the_best_sample():
    c = dataclasses.replace(planner_config('predictive_sampling'), horizon=3)
    controls = jnp.full((3, 1), 0.4)
    candidates = shooting.sample_around(c, controls, jax.random.key(0))
    np.testing.assert_array_equal(candidates.actions[0], controls)
    costs = jnp.arange(24.0)[::-1]
    after = shooting.update(c, controls, candidates, costs).plan
    np.testing.assert_array_equal(after, candidates.drawn[-1])
    kept = shooting.update(c, controls, candidates, costs.at[0].set(-1.0)).plan
    np.testing.assert_array_equal(kept, controls)


def test_random_shooting_covers_the_box_evenly():
    """The best of N = 64 falls into the best 2 % of the box in 1 - 0.98^64 of all cases."""
    c = dataclasses.replace(planner_config('random_shooting'), horizon=1, num_samples=64)
    sample = jax.jit(jax.vmap(lambda key: shooting.sample_box(c, jnp.zeros((1, 1)), key)))
    actions = sample(jax.random.split(jax.random.key(0), 4000)).actions[..., 0, 0]
    share = np.mean(np.min(actions, axis=1) < -1 + 0.02 * 2)
    assert abs(share - (1 - 0.98**64)) < 4 * np.sqrt(share * (1 - share) / 4000)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('iterations', [0, 2])
def test_soft_values_are_those_of_the_fixed_prior_whatever_acts(name, iterations):
    def value(name):
        config = dataclasses.replace(planner_config(name), horizon=3, step_size=0.5)
        planner = load_planner(name)
        return state_value(
            planner, config, lambda actions: jnp.sum((actions - 0.5) ** 2, axis=(1, 2)), 1,
            planner.init(config, 2), jax.random.key(0), iterations=iterations,
        )[0]  # fmt: skip

    np.testing.assert_array_equal(value(name), value('mppi'))


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('step_size', 0.0), ('loss', 'median'), ('covariance', 'banded'), ('convention', 'other'),
        ('elite_fraction', 1.5), ('covariance_step_size', 1.1),
        ('covariance_floor', 0.0), ('covariance_growth', -1.0), ('temperature', 0.0),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named(field, value):
    with pytest.raises(ConfigError, match=rf'planner\.{field}'):
        dataclasses.replace(DMDConfig(), **{field: value}).validate()


def test_an_elite_of_no_sample_is_refused():
    few = dataclasses.replace(planner_config('cem'), num_samples=9)
    with pytest.raises(ConfigError, match=r'elite_fraction = 0\.1.*at least 1 of.*= 9'):
        few.validate()
    dataclasses.replace(few, num_samples=10).validate()


def test_a_planner_brings_what_makes_it_what_it_is():
    before = mpq_jax.set_fields(tiny_lq_config(), {'planner.step_size': 0.3})
    cem = mpq_jax.set_fields(before, {'planner.name': 'cem'}).planner
    assert (cem.loss, cem.step_size, cem.horizon) == ('low_cost', 1.0, before.planner.horizon)
    assert mpq_jax.set_fields(before, {'planner.name': 'dmd'}).planner.step_size == 0.3
    dataclasses.replace(DMDConfig(), step_size=2.0).validate()


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('agent', ['mppi', 'mpq'])
def test_a_run_acts_on_the_very_plans_of_its_planner(name, agent, tmp_path):
    """Finite rows, others than MPPI's on the same seeds; a covariance is kept between the steps."""
    returns = []
    for planner in ('mppi', name):
        config = mpq_jax.set_fields(
            tiny_lq_config(agent=agent, episodes=2, num_seeds=2),
            {'planner.name': planner, **HALF.get(planner, {})},
        )
        run = mpq_jax.train(config, tmp_path / planner)
        returns.append([float(row['return']) for row in read_rows(run.metrics_file)])
    assert np.isfinite(returns).all() and returns[0][0] != returns[1][0]


def test_numbers_of_a_planner_are_one_batch():
    fixed = {'planner.name': 'cem', 'task': 'tests.conftest:lq_task', 'agent': 'mppi'}
    grid = Grid.of(fixed, product({'planner.elite_fraction': [0.25, 1.0]}))
    assert len(grid.cells()) == 1
