"""Sweeps: the grid, one batch a cell, going on where it was, and what the tables say."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid, parse_sweeps, product
from mpq_jax.sweep.sweep_directory import SweepDirectory
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_config, tiny_lq_config

TINY = {
    'task': 'sweep_lq',
    'agent': 'mppi',  # the quickest to compile; grids are the same to all
    'planner.num_samples': 8,
    'belief.num_draws': 1,
    'learner.num_states': 32,
    'learner.minibatch_size': 16,
    'learner.epochs': 1,
    'learner.buffer_capacity': 100,
    'learner.hidden_width': 4,
    'training.validation_episodes': 0,
}


@pytest.fixture(scope='module', autouse=True)
def task():
    mpq_jax.register_task('sweep_lq', lq_task)


def grid(swept, num_seeds=3, episodes=4, **fixed):
    own = {'num_seeds': num_seeds, 'episodes': episodes}
    return Grid.of(TINY | fixed | own, product(swept))


@pytest.mark.parametrize(
    ('texts', 'message'),
    [
        (['planner.horizon'], 'of the form field=value'),
        (['planner.horizn=1,2'], "did you mean 'planner.horizon'"),
        (['planner.horizon=1,two'], 'a whole number'),
        (['planner.temperature=warm'], 'a number'),
        (['planner.horizon='], 'a list of values'),
        (['planner.horizon=1,,2'], 'a list of values'),
        (['planner.horizon=1,2,1'], 'in the list once'),
        (['planner.horizon=1', 'planner.horizon=2'], 'given once'),
        (['num_seeds=1,2'], 'given as --num_seeds'),
    ],
)
def test_a_sweep_that_cannot_be_parsed(texts, message):
    with pytest.raises(ConfigError, match=message):
        parse_sweeps(texts)


@pytest.mark.parametrize(
    ('swept', 'field'),
    [
        ({'planner.temperature': [0.1, -1.0]}, 'planner.temperature'),
        ({'agent': ['mpq', 'mppy']}, 'agent'),
        ({'agent': ['softq'], 'planner.horizon': [1, 4]}, 'planner.horizon'),
        ({'planner.num_samples': [8, 0]}, 'planner.num_samples'),
    ],
)
def test_a_point_that_cannot_run_is_named_before_anything_starts(swept, field, tmp_path):
    with pytest.raises(ConfigError) as error:
        run_sweep(grid(swept), tmp_path / 'sweep')
    assert error.value.field == field and not (tmp_path / 'sweep').exists()


def test_static_fields_make_cells_and_numeric_ones_a_batch():
    swept = parse_sweeps(
        [
            'planner.horizon=2,3',
            'agent=mpq,mppi',
            'planner.temperature=0.1,1',
            'planner.step_size=1',
        ]
    )
    cells = grid(swept).cells()
    assert [cell.name for cell in cells] == [
        f'planner.horizon={h},agent={a}' for h in (2, 3) for a in ('mpq', 'mppi')
    ]
    for cell in cells:
        assert cell.batch.members == tuple((v, s) for v in (0, 1) for s in (0, 1, 2))
        temperatures = [variant['planner.temperature'] for variant in cell.batch.variants]
        assert temperatures == [0.1, 1.0]
        assert {name for point in cell.points for name in point} == set(swept)


def test_a_variant_in_a_batch_is_that_config_alone():
    """One episode and one learning round, to rounding."""
    variants = ({'planner.temperature': 0.05}, {'planner.temperature': 2.0})

    def first_round(config):
        programs = make_programs(config)
        state, summary = programs.collect(programs.initial_state(), 0)
        state, metrics = programs.learn(state, 0)
        return np.asarray(summary.episode_return), np.asarray(metrics.q_loss)

    together = first_round(mpq_jax.Batch(tiny_lq_config(), variants))
    for v, variant in enumerate(variants):
        alone = first_round(tiny_lq_config(**variant))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(all_of_them[2 * v : 2 * v + 2], one, rtol=1e-4)
    assert not np.allclose(together[0][:2], together[0][2:], rtol=1e-3)


def test_a_batch_too_large_for_the_memory_runs_in_parts():
    def play(**changes):
        programs = make_programs(tiny_config(num_seeds=4, **changes))
        _, summary = programs.collect(programs.initial_state(), 0)
        return programs.members_at_once, np.asarray(summary.episode_return)

    whole, expected = play()
    some, returns = play(**{'execution.memory_gib': 1e-5})
    assert some < whole == 4
    np.testing.assert_allclose(returns, expected, rtol=1e-5)


def test_the_planners_belief_is_moved_and_scaled(pendulum):
    def ranges(**fields):
        belief = tiny_config(**{f'belief.{k}': v for k, v in fields.items()}).belief
        draws = draw_parameters(pendulum, jax.random.key(0), 4000, belief)['mass']
        return draws.min(), draws.max()

    np.testing.assert_allclose(ranges(), (0.9, 1.5), atol=2e-3)
    np.testing.assert_allclose(ranges(bias=0.0), (0.7, 1.3), atol=2e-3)
    np.testing.assert_allclose(ranges(spread=0.5), (1.05, 1.35), atol=2e-3)
    with pytest.raises(ConfigError, match='mass stays above 0'):
        make_programs(tiny_config(**{'belief.spread': 9.0}))


@pytest.fixture(scope='module')
def swept(tmp_path_factory):
    path = tmp_path_factory.mktemp('sweep') / 'whole'
    temperatures = {'planner.horizon': [2, 3], 'planner.temperature': [0.1, 1.0]}
    return run_sweep(grid(temperatures), path)


def rows_of(directory):
    with open(directory.rows_file, newline='') as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.endswith('seconds')} for row in rows]


def test_every_configuration_seed_and_episode_has_a_row(swept):
    names = ('planner.horizon', 'planner.temperature', 'seed', 'episode')
    keys = [tuple(float(row[name]) for name in names) for row in rows_of(swept)]
    expected = [
        (h, t, s, e) for h in (2, 3) for t in (0.1, 1.0) for s in range(3) for e in range(4)
    ]
    assert sorted(keys) == expected


def test_the_summary_is_what_the_rows_say(swept):
    """Against plain NumPy; of three seeds the middle one counts whole, the others a quarter."""
    summary = json.loads(swept.summary_json.read_text())
    assert summary['measure'] == 'return' and len(summary['configurations']) == 4
    assert summary['configurations'][1]['label'] == 'horizon=2, temperature=1.0'
    for entry in summary['configurations']:
        rows = [r for r in rows_of(swept) if int(r['configuration']) == entry['configuration']]
        returns = np.full((3, 4), np.nan)
        for row in rows:
            returns[int(row['seed']), int(row['episode'])] = float(row['return'])
        assert entry['auc']['mean'] == pytest.approx(returns.mean(), abs=1e-3)
        assert entry['final']['mean'] == pytest.approx(returns[:, -1:].mean(), abs=1e-3)
        one, two, three = np.sort(returns[:, -1])
        middle_half = (0.25 * one + two + 0.25 * three) / 1.5
        assert entry['final']['iqm'] == pytest.approx(middle_half, abs=1e-3)
        assert entry['final']['low'] is None and entry['final']['high'] is None
        np.testing.assert_allclose(entry['final']['per_seed'], returns[:, -1], atol=1e-3)
        steps = [float(r['model_steps']) for r in rows if r['episode'] == '3']
        assert entry['model_steps'] == pytest.approx(np.mean(steps))
    figures = {path.name for path in swept.path.glob('*.png')}
    assert figures == {
        'learning_curves.png', 'model_steps.png', 'final_performance.png', 'heat_map.png'
    }  # fmt: skip


def test_a_larger_grid_runs_what_is_new(swept, tmp_path):
    """Another value, another cell, more seeds: what was there stays as it is."""
    directory = SweepDirectory(tmp_path / 'sweep')
    run_sweep(grid({'planner.horizon': [3], 'planner.temperature': [1.0]}, 2), directory.path)
    before = {p: p.read_bytes() for p in directory.path.glob('cells/*/metrics.csv')}
    assert len(before) == 1
    run_sweep(grid({'planner.horizon': [2, 3], 'planner.temperature': [0.1, 1.0]}), directory.path)
    for path, content in before.items():
        assert path.read_bytes() == content
    assert len(list(directory.path.glob('cells/*'))) > 2
    key = ('planner.horizon', 'planner.temperature', 'seed', 'episode')
    ours, theirs = (
        {tuple(row[k] for k in key): float(row['return']) for row in rows_of(d)}
        for d in (directory, swept)
    )
    assert ours.keys() == theirs.keys()
    for place in ours:
        if place[3] == '0':  # learning amplifies the rounding of other batches
            assert ours[place] == pytest.approx(theirs[place], rel=1e-4)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'swept': {'planner.horizon': [2, 4]}}, '--sweep'),
        ({'num_seeds': 1}, 'num_seeds'),
        ({'episodes': 1}, 'episodes'),
        ({'learner.epochs': 2}, 'learner.epochs'),
    ],
)
def test_another_grid_in_the_same_directory_is_refused(changes, message, tmp_path):
    first = {'swept': {'planner.horizon': [2, 3]}, 'num_seeds': 2, 'episodes': 2}
    directory = SweepDirectory(tmp_path)
    known = grid(**first)
    directory.record(known, directory.plan(known))
    with pytest.raises(ConfigError) as error:
        directory.plan(grid(**(first | changes)))
    assert error.value.field == message and str(tmp_path) in str(error.value)
    assert directory.plan(grid(**(first | {'episodes': 5}))) is not None


def test_controllers_and_evaluation_of_one_variant(swept):
    run = swept.run('planner.horizon=2')
    result = mpq_jax.evaluate(run.path, 2)
    assert [v['fields'] for v in result['variants']] == [
        {'planner.temperature': 0.1}, {'planner.temperature': 1.0}
    ]  # fmt: skip
    controller = mpq_jax.load_controller(run.path, seed=1, variant=1)
    assert controller.act(jnp.zeros(1), jnp.zeros(1)).shape == (1,)
    with pytest.raises(ConfigError, match='variant = 2'):
        mpq_jax.load_controller(run.path, variant=2)
