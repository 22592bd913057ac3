"""Ours beside the paper's: what the tables say, held against the rows they are made of."""

import json
import subprocess
import sys

import numpy as np
import pytest
from rich.console import Console

from experiments import paper_figures, published
from mpq_jax.metrics import MetricsWriter
from mpq_jax.run_directory import write_atomically
from mpq_jax.sweep.grid import Grid
from mpq_jax.sweep.sweep_directory import SweepDirectory

QUIET = Console(quiet=True)


def point(agent, horizon, planner_model='biased', q_data='real'):
    return {
        'agent': agent,
        'planner.horizon': horizon,
        'planner_model': planner_model,
        'q_data': q_data,
    }


def made_up(path, points, values, task='ball_in_cup'):
    """A sweep whose runs had these returns and successes `[S, E]`."""
    seeds, episodes = values[0].shape
    grid = Grid.of({'task': task, 'num_seeds': seeds, 'episodes': episodes}, tuple(points))
    directory = SweepDirectory(path)
    cells = directory.plan(grid)
    directory.record(grid, cells)
    for cell, table in zip(cells, values, strict=True):
        run = directory.run(cell.name)
        run.create(cell.config)
        run.record(finished_episodes=episodes)
        writer = MetricsWriter(run.metrics_file, run.events, 0)
        for episode in range(episodes):
            writer.write(
                [
                    {'variant': 0, 'seed': s, 'episode': episode, 'return': table[s, episode],
                     'success': table[s, episode], 'model_steps': 7 * episode,
                     'collect_seconds': 0.1, 'learn_seconds': 0.2}
                    for s in range(seeds)
                ]
            )  # fmt: skip
        writer.close()
    return directory


def rows_of(directory, name):
    return json.loads((directory.path / f'{name}.json').read_text())['rows']


def test_training_curves_count_successes_as_the_paper_does(tmp_path):
    rng = np.random.default_rng(0)
    points = [point('mpq', 4), point('mppi', 48, planner_model='true')]
    values = [rng.integers(0, 2, (3, 50)).astype(float) for _ in points]
    directory = made_up(tmp_path / 'sweep', points, values)
    paper_figures.training_curves(directory, points, QUIET)
    rows = rows_of(directory, 'training_curves')
    for row, table in zip(rows, values, strict=True):
        assert row['ours'] == pytest.approx(table.sum(axis=1).mean(), abs=1e-3)
        assert row['last_quarter'] == pytest.approx(table[:, 38:].mean(), abs=1e-3)
        assert row['ours_low'] <= row['ours'] <= row['ours_high']
    assert rows[0]['agent'] == 'MPQ H=4' and rows[0]['paper'] == 22.0  # published at episode 50
    assert rows[1]['agent'] == 'MPPI H=48, true model'
    assert (directory.path / 'training_curves.png').stat().st_size > 10_000


def test_the_pendulums_curves_are_cumulative_means(tmp_path):
    points = [point('mpq', 8)]
    values = [np.linspace(-1000.0, -200.0, 40).reshape(2, 20)]
    directory = made_up(tmp_path / 'sweep', points, values, task='pendulum')
    paper_figures.training_curves(directory, points, QUIET)
    (row,) = rows_of(directory, 'training_curves')
    assert row['ours'] == pytest.approx(values[0].mean(), abs=1e-3)
    curve = published.training_curves('pendulum')[('mpq', 8, 'biased')]
    assert row['paper'] == curve[19] and len(curve) == 700 and round(curve[-1]) == -265


def test_the_horizon_ablation_stands_beside_the_papers_counts(tmp_path):
    points = [point(agent, h) for h in (1, 4) for agent in ('mpq', 'mppi')]
    values = [np.full((2, 300), v) for v in (0.0, 1.0, 1.0, 0.0)]
    directory = made_up(tmp_path / 'sweep', points, values)
    paper_figures.horizon_ablation(directory, points, QUIET)
    rows = {(r['agent'], r['horizon']): r for r in rows_of(directory, 'horizon_ablation')}
    assert [rows[key]['ours'] for key in (('mpq', 1), ('mppi', 1), ('mpq', 4))] == [0, 300, 300]
    assert rows['mpq', 4]['paper'] == 160 and rows['mppi', 4]['paper'] == 60
    assert rows['mpq', 1]['paper'] is None  # the paper starts at 4


def test_the_table_of_test_success(tmp_path):
    points = [point('mpq', 4), point('mpq', 4, q_data='dr'), point('softq', 1)]
    directory = made_up(tmp_path / 'sweep', points, [np.ones((2, 4))] * 3)
    rates = ([0.9, 0.7], [0.5, 0.3], [0.1, 0.1])
    for cell, means in zip(directory.read()['cells'], rates, strict=True):
        figure = {'per_seed': {str(seed): {'mean': mean} for seed, mean in enumerate(means)}}
        content = {'trained_episodes': 4, 'test_episodes_per_seed': 100}
        content |= dict.fromkeys(('success', 'success_at_end', 'success_share'), figure)
        file = directory.path / cell['directory'] / 'evaluation.json'
        write_atomically(file, json.dumps(content))
    paper_figures.success_table(directory, points, 100, QUIET)
    rows = rows_of(directory, 'test_success')
    assert [row['ours'] for row in rows] == pytest.approx([0.8, 0.4, 0.1])
    assert [row['paper'] for row in rows] == [0.85, 0.41, 0.09]
    assert rows[0]['ours_low'] == pytest.approx(0.7) and rows[0]['seeds'] == 2


def test_draw_only_shows_what_has_run_and_runs_nothing(tmp_path):
    points = [point('mpq', 4), point('mppi', 4), point('softq', 1)]
    directory = made_up(tmp_path / 'sweep', points, [np.ones((2, 30))] * 3)
    (directory.path / directory.read()['cells'][2]['directory'] / 'metrics.csv').unlink()
    before = sorted(directory.path.rglob('*'))
    command = [sys.executable, '-m', 'experiments.reproduce', '--figure=training_curves']
    command += ['--task=ball_in_cup', '--draw_only']
    subprocess.run([*command, f'--run_dir={directory.path}'], check=True, capture_output=True)
    rows = rows_of(directory, 'training_curves')
    assert [row['agent'] for row in rows] == ['MPQ H=4', 'MPPI H=4']
    new = {p.name for p in set(directory.path.rglob('*')) - set(before)}
    assert new == {f'training_curves.{kind}' for kind in ('png', 'json', 'csv')}
    refused = subprocess.run([*command, f'--run_dir={tmp_path / "none"}'], capture_output=True)
    assert refused.returncode and b'none' in refused.stderr
