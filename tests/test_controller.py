"""A controller asked for actions: what it refuses, and what it says when it cannot plan."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax._src.compiler import compile_or_get_cached

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.tasks import Start
from tests.conftest import lq_task
from tests.test_run_faults import FaultySystem, own_config

SIZES = {'planner.horizon': 2, 'planner.num_samples': 4, 'belief.num_draws': 1}


def made(**changes):
    mpq_jax.register_task('controlled', lambda: lq_task(**changes))
    return mpq_jax.make_controller(mpq_jax.set_fields(mpq_jax.preset('controlled', 'mppi'), SIZES))


@pytest.fixture(scope='module')
def controller():
    def reset(key):
        return Start(jnp.zeros(1), jnp.zeros(1), {'goal': jax.random.normal(key, (3,))})

    return made(reset=reset)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('qpos', [np.nan]),
        ('qvel', [np.inf]),
        ('qpos', None),
        ('qpos', 'upright'),
        ('qvel', [0.0, 0.0]),
        ('variables', ()),
        ('variables', {'aim': np.zeros(3)}),
        ('variables', np.zeros(3)),
        ('variables', {'goal': np.zeros(2)}),
        ('variables', {'goal': np.full(3, np.nan)}),
        ('variables', {'goal': np.zeros(3), 'more': 1.0}),
    ],
)
def test_what_it_is_told_must_be_of_the_task(controller, field, value):
    told = {'qpos': [0.0], 'qvel': [0.0], 'variables': {'goal': [0.0, 0.0, 0.0]}}
    assert controller.act(**told).shape == (1,)
    with pytest.raises(ConfigError, match=r'finite.*\(3,\)' if field == 'variables' else 'finite'):
        controller.act(**(told | {field: value}))
    with pytest.raises(ConfigError) as error:
        controller.act(**(told | {field: value}))
    assert error.value.field == field


def test_variables_of_a_task_that_has_none():
    with pytest.raises(ConfigError, match=r'variables = .* must be \(\)'):
        made().act([0.0], [0.0], {'goal': 1.0})


def test_a_plan_without_a_finite_sample_is_said_once():
    broken = made(
        cost=lambda reading, variables, action: jnp.where(reading.qpos[0] > 5, jnp.nan, action[0])
    )
    broken.act([1.0], [0.0])
    with pytest.warns(
        UserWarning, match=r'no sampled plan has a finite cost at qpos = \[9'
    ) as said:
        assert np.isfinite(broken.act([9.0], [0.0])).all()
        broken.act([9.0], [0.0])
    assert len(said) == 1


def counted(function, calls):
    def called(*args, **kwargs):
        calls.append(function.__name__)
        return function(*args, **kwargs)

    return called


def test_the_first_action_compiles_nothing(monkeypatch):
    """All that is compiled on first use is compiled when the controller is made."""
    new = made()
    jax.clear_caches()  # of what JAX compiles by itself; ours are executables
    compiled = []
    monkeypatch.setattr(
        'jax._src.compiler.compile_or_get_cached', counted(compile_or_get_cached, compiled)
    )
    new.act([0.0], [0.0])
    assert compiled == []
    jnp.sinh(jnp.ones(17)).block_until_ready()  # what would be noticed
    assert compiled


def test_a_new_controller_remembers_nothing_of_being_tried():
    """Its first actions are those after `reset`."""
    new, told = made(), {'qpos': [0.5], 'qvel': [0.0]}
    assert new.diagnostics is None
    first = [new.act(**told) for _ in range(2)]
    new.reset()
    np.testing.assert_array_equal([new.act(**told) for _ in range(2)], first)


def test_a_controller_of_a_run_on_ones_own_systems_needs_none(tmp_path):
    systems = [FaultySystem({}), FaultySystem({})]
    run = mpq_jax.train(own_config(episodes=1), tmp_path / 'run', real_systems=systems)
    assert mpq_jax.load_controller(run.path, seed=1).act([0.3], [0.0]).shape == (1,)
    with pytest.raises(ConfigError, match=r'2 systems.*mpq_jax.evaluate\(run_dir, real_systems'):
        mpq_jax.evaluate(run.path, 1)
    assert mpq_jax.evaluate(run.path, 1, real_systems=systems)['return']['mean'] < 0
