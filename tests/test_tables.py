"""Rows as tables, variants kept apart, and what tables and figures call an agent."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

import mpq_jax
from mpq_jax import report
from mpq_jax.base.validation import RunError
from mpq_jax.comparison import baselines as comparison
from mpq_jax.config import Batch
from mpq_jax.config.labels import agent_label, field_label
from mpq_jax.runs.metrics import COLUMNS, MetricsWriter, iterate_rows, read_table
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.runs.tables import last_quarter, tabulate
from tests.conftest import tiny_config

EPISODES = 8
VARIANTS = ({'planner.temperature': 0.1}, {'planner.temperature': 1.0})


def value(variant, seed, episode):
    """Of a made-up run: every member and episode has its own."""
    return -100.0 * variant - 10.0 * seed - episode / 10


def write_run(path, runs, success=None):
    """A run of returns from `value`; successes by seed and episode, held a quarter of the time."""
    run = RunDirectory(path)
    run.create(runs)
    batch = Batch.of(runs)
    writer = MetricsWriter(run.metrics_file, run.events, 0)
    for episode in range(batch.config.episodes):
        rows = [
            {'variant': v, 'seed': s, 'episode': episode, 'return': value(v, s, episode),
             'model_steps': 1000 * (s + 1), 'collect_seconds': 0.1, 'learn_seconds': 0.1}
            for v, s in batch.members
        ]  # fmt: skip
        if success is not None:
            for row, (_, seed) in zip(rows, batch.members, strict=True):
                held = success(seed, episode)
                row |= {'success': held, 'success_at_end': 0.0, 'success_share': held / 4}
        writer.write(rows)
    writer.close()
    return run


@pytest.fixture
def with_variants(tmp_path):
    return write_run(tmp_path / 'run', Batch(tiny_config(episodes=EPISODES), VARIANTS))


def closing_table(config, run):
    console = Console(width=300, file=io.StringIO())
    comparison.finish(config, run, console)
    return console.file.getvalue()


def cells(text, first):
    line = next(line for line in text.splitlines() if line.startswith(f'│ {first} '))
    return [cell.strip() for cell in line.strip('│').split('│')]


def test_rows_become_tables_whatever_their_order(with_variants):
    rows = list(iterate_rows(with_variants.metrics_file))
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    tables = tabulate(shuffled)
    assert tables.members == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert tables.counts.tolist() == [EPISODES] * 4
    assert set(tables.columns) == set(COLUMNS) - {'variant', 'seed', 'episode'}
    expected = [[value(*member, e) for e in range(EPISODES)] for member in tables.members]
    np.testing.assert_allclose(tables.columns['return'], expected)
    np.testing.assert_allclose(read_table(with_variants.metrics_file, 'return'), expected)
    second = tables.by_first()[1]
    assert second.seeds == [0, 1]
    np.testing.assert_allclose(second.columns['return'], expected[2:])
    assert np.isnan(second.columns['success']).all()


def test_rows_that_are_missing_leave_gaps():
    tables = tabulate([{'seed': '3', 'episode': '2', 'return': '1'}, {'seed': '0', 'episode': '0'}])
    np.testing.assert_array_equal(tables.columns['return'], [[np.nan] * 3, [np.nan, np.nan, 1.0]])
    assert tables.members == [(0, 0), (0, 3)] and tables.counts.tolist() == [1, 1]
    assert tabulate([]).members == [] and tabulate([], names=['a']).columns['a'].shape == (0, 0)
    with pytest.raises(RunError, match="'x' where a seed"):
        tabulate([{'seed': 'x', 'episode': '0'}])


def test_rows_are_read_once_and_not_kept():
    """Nothing but numbers stays of a row: the second is asked for when the first is gone."""
    given = []

    def rows():
        for i in range(3):
            given.append(dict.fromkeys(COLUMNS, '1') | {'episode': str(i)})
            yield given[-1]
            given.pop().clear()

    np.testing.assert_array_equal(tabulate(rows()).columns['return'], np.ones((1, 3)))


@pytest.mark.parametrize(('episodes', 'last'), [(1, 1), (7, 1), (8, 2), (100, 25)])
def test_the_last_quarter_is_rounded_down(episodes, last):
    assert last_quarter(np.zeros((2, episodes))).shape == (2, last)


def test_the_closing_table_has_a_row_a_variant(with_variants):
    config = tiny_config(episodes=EPISODES)
    text = closing_table(config, with_variants)
    for heading in ('all episodes, 2 seeds', 'last quarter, 2 seeds', 'model steps a seed'):
        assert heading in text
    # Means over episodes are 0.35 below the first; the last quarter has episodes 6 and 7.
    rows = [cells(text, f'MPQ H=3, temperature={t}') for t in (0.1, 1.0)]
    assert [row[1:] for row in rows] == [
        ['-5 (-0, -10)', '-6 (-1, -11)', '1,500'],
        ['-105 (-100, -110)', '-106 (-101, -111)', '1,500'],
    ]


def test_the_report_has_a_configuration_a_variant(with_variants):
    figure = {'mean': -1.0, 'per_seed': {'0': {'mean': -2.0}, '1': {'mean': 0.0}}}
    evaluation = {'variants': [{'fields': fields, 'return': figure} for fields in VARIANTS]}
    with_variants.evaluation_file.write_text(json.dumps(evaluation))
    page = report.read_directory(with_variants.path)
    names = [f'MPQ H=3, temperature={t}' for t in (0.1, 1.0)]
    assert [curve.label for curve in page.curves] == names
    assert [curve.fields for curve in page.curves] == [
        {'planner.temperature': '0.1'}, {'planner.temperature': '1.0'}
    ]  # fmt: skip
    for v, curve in enumerate(page.curves):
        assert curve.seeds == [0, 1] and curve.columns['return'].shape == (2, EPISODES)
        assert curve.columns['return'][1, 3] == pytest.approx(value(v, 1, 3))
    configurations, seeds, evaluations = page.results
    assert [row[0] for row in configurations.rows] == names
    assert configurations.columns[2:4] == [
        'return, all episodes, 2 seeds', 'return, last quarter, 2 seeds'
    ]  # fmt: skip
    late = configurations.rows[1][3]
    assert late.low is None and late.mean == pytest.approx(-105.65)
    assert late.seeds == pytest.approx((-100.65, -110.65))
    assert configurations.rows[0][-2] == 1500  # model steps: a seed's, not the sum
    assert [(row[0], row[1]) for row in seeds.rows] == [(n, s) for n in names for s in (0, 1)]
    assert [(row[0], row[2]) for row in evaluations.rows] == [
        (name, seed) for name in names for seed in ('all 2', '0', '1')
    ]
    assert page.problems == []
    html = report.write_report(with_variants.path).read_text()
    assert '(\N{MINUS SIGN}100.7, \N{MINUS SIGN}110.7)' in html


@pytest.mark.parametrize('num_seeds', [2, 5])
def test_success_stands_three_ways_beside_no_control(tmp_path, num_seeds):
    """Of eight episodes seed 0 and 1 succeed in four, MPPI in those that succeed by themselves."""
    fields = {'task': 'ball_in_cup', 'num_seeds': num_seeds, 'episodes': EPISODES}
    config = mpq_jax.set_fields(mpq_jax.preset('ball_in_cup'), fields)
    run = write_run(tmp_path / 'run', config, lambda seed, episode: float(episode < 4 + seed % 2))
    plain = mpq_jax.set_fields(config, {'agent': 'mppi'})
    write_run(run.baselines / 'mppi_h4', plain, lambda seed, episode: float(episode < 1 + seed % 2))
    nothing = mpq_jax.no_control(config)
    write_run(run.baselines / 'no_control', nothing, lambda s, e: float(e >= 7 - s % 2))
    text = closing_table(config, run)
    for heading in ('all episodes', 'last quarter', 'at the end', 'share of time'):
        assert f'{heading}, {num_seeds} seeds' in text
    ours, idle, mppi = (cells(text, name) for name in ('MPQ H=4', 'no control', 'MPPI H=4'))
    assert [ours[-1], idle[-1], mppi[-1]] == ['better', '', 'not better']
    if num_seeds == 2:
        assert ours[1:5] == ['0.56 (0.50, 0.62)', '0.00 (0.00, 0.00)', '0.00 (0.00, 0.00)',
                             '0.14 (0.12, 0.16)']  # fmt: skip
    else:
        assert ours[1].startswith('0.55 [0.') and ours[2].startswith('0.00 [0.00, 0.')
    page = report.read_directory(run.path)
    assert [curve.no_control for curve in page.curves] == [False, False, True]
    headings = ('success', 'success at the end', 'success, share of time')
    shown = {f'{heading}, all episodes, {num_seeds} seeds' for heading in headings}
    assert shown <= set(page.results[0].columns)
    successes = page.results[0].rows[0][4]
    assert (successes.low is None) is (num_seeds == 2)


def test_baselines_are_no_control_and_mppi_at_two_horizons(tmp_path, monkeypatch):
    started = {}

    def train(batch, path, **_):
        config = batch.config
        started[path.name] = (config.agent, config.planner.horizon)

    monkeypatch.setattr(mpq_jax, 'train', train)
    config = mpq_jax.preset('pendulum')
    comparison.run_baselines(config, RunDirectory(tmp_path), Console(quiet=True))
    assert started == {}  # not asked for, and no successes to hold against anything
    config = mpq_jax.set_fields(config, {'training.baselines': True})
    comparison.run_baselines(config, RunDirectory(tmp_path), Console(quiet=True))
    assert started == {
        'no_control': ('none', 1), 'mppi_h8': ('mppi', 8), 'mppi_h32': ('mppi', 32)
    }  # fmt: skip


def test_what_an_agent_is_called():
    true = {'planner_model': 'true', 'q_data': 'dr'}
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum'), true)
    fields = {'agent': 'mpq', 'planner.horizon': 8} | true
    assert agent_label(config) == agent_label(fields) == 'MPQ H=8, true model, DR data'
    assert agent_label({'agent': 'softq', 'planner.horizon': 1}) == 'SoftQ H=1'
    assert agent_label({'agent': 'none', 'planner.horizon': 8}) == 'no control'
    assert field_label({'agent': 'mpq', 'planner.horizon': 8}) == 'agent=mpq, horizon=8'
    nothing = {'agent': 'none', 'planner.horizon': 8, 'q_data': 'real', 'task': 'pendulum'}
    assert field_label(nothing) == 'no control, task=pendulum'
