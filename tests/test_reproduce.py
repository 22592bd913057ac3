"""Ours beside the paper's: what the tables say, held against the rows they are made of."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from mpq_jax import published
from mpq_jax.base.files import write_atomically
from mpq_jax.comparison import paper_figures
from mpq_jax.runs.metrics import MetricsWriter
from mpq_jax.sweep.grid import Grid
from mpq_jax.sweep.sweep_directory import SweepDirectory
from tests.entry_points import run

DRAWS = True

QUIET = Console(quiet=True)
GREY_PIXEL = (0x7D, 0x8A, 0x94)


def pixels(path):
    """Colours of a figure, to the few levels that its palette keeps."""
    return {
        tuple(color)
        for color in np.asarray(Image.open(path).convert('RGB')).reshape(-1, 3).tolist()
    }


def point(agent, horizon, planner_model='biased', q_data='real'):
    return {
        'agent': agent,
        'planner.horizon': horizon,
        'planner_model': planner_model,
        'q_data': q_data,
    }


def made_up(path, points, values, task='ball_in_cup'):
    """A sweep whose runs had these returns and successes `[S, E]`; none holds to the end."""
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
                     'success': table[s, episode], 'success_at_end': 0.0,
                     'success_share': table[s, episode] / 4, 'model_steps': 7 * episode,
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
    values = [rng.integers(0, 2, (5, 50)).astype(float) for _ in points]
    directory = made_up(tmp_path / 'sweep', points, values)
    paper_figures.training_curves(directory, points, QUIET)
    rows = rows_of(directory, 'training_curves')
    for row, table in zip(rows, values, strict=True):
        assert row['success'] == pytest.approx(table.sum(axis=1).mean(), abs=1e-3)
        assert row['last_quarter'] == pytest.approx(table[:, 38:].mean(), abs=1e-3)
        assert row['success_low'] < row['success'] < row['success_high']
        assert row['success_by_seed'] == table.sum(axis=1).tolist()
        assert row['success_at_end'] == 0 == row['success_at_end_low'] < row['success_at_end_high']
        assert row['success_share'] == pytest.approx(table.mean() / 4, abs=1e-3)
    assert rows[0]['agent'] == 'MPQ H=4' and rows[0]['paper'] == 22.0  # published at episode 50
    assert rows[1]['agent'] == 'MPPI H=48, true model'
    assert (directory.path / 'training_curves.png').stat().st_size > 10_000


def test_the_pendulums_curves_are_cumulative_means(tmp_path):
    points = [point('mpq', 8)]
    values = [np.linspace(-1000.0, -200.0, 40).reshape(2, 20)]
    directory = made_up(tmp_path / 'sweep', points, values, task='pendulum')
    paper_figures.training_curves(directory, points, QUIET)
    (row,) = rows_of(directory, 'training_curves')
    assert row['return'] == pytest.approx(values[0].mean(), abs=1e-3)
    assert row['return_low'] is None and len(row['return_by_seed']) == 2
    assert 'against_no_control' not in row and 'success' not in row
    curve = published.training_curves('pendulum')[('mpq', 8, 'biased')]
    assert row['paper'] == curve[19] and len(curve) == 700 and round(curve[-1]) == -265


def test_the_horizon_ablation_stands_beside_the_papers_counts(tmp_path):
    points = [point(agent, h) for h in (1, 4) for agent in ('mpq', 'mppi')]
    values = [np.full((2, 300), v) for v in (0.0, 1.0, 1.0, 0.0)]
    directory = made_up(tmp_path / 'sweep', points, values)
    paper_figures.horizon_ablation(directory, points, QUIET)
    rows = {(r['agent'], r['horizon']): r for r in rows_of(directory, 'horizon_ablation')}
    assert [rows[key]['success'] for key in (('mpq', 1), ('mppi', 1), ('mpq', 4))] == [0, 300, 300]
    assert rows['mpq', 4]['paper'] == 160 and rows['mppi', 4]['paper'] == 60
    assert rows['mpq', 1]['paper'] is None  # the paper starts at 4
    assert rows['mpq', 4]['success_share'] == 0.25 and rows['mpq', 4]['success_at_end'] == 0


@pytest.mark.parametrize('seeds', [2, 5])
def test_what_is_not_better_than_no_control_is_said_to_be_so(tmp_path, seeds):
    """MPPI succeeds as often as no control does, in other episodes; MPQ always."""
    points = [point('none', 1), point('mpq', 4), point('mppi', 4)]
    nothing = np.zeros((seeds, 40))
    nothing[:, :6] = 1.0
    directory = made_up(
        tmp_path / 'sweep', points, [nothing, np.ones_like(nothing), nothing[:, ::-1]]
    )
    for name in ('training_curves', 'horizon_ablation'):
        getattr(paper_figures, name)(directory, points, QUIET)
        rows = rows_of(directory, name)
        assert [row['against_no_control'] for row in rows] == ['', 'better', 'not better']
        assert [row['success'] for row in rows] == [6, 40, 6]
        assert (directory.path / f'{name}.png').stat().st_size > 10_000
        assert GREY_PIXEL in pixels(directory.path / f'{name}.png')
    shown = Console(width=200, file=io.StringIO())
    paper_figures.training_curves(directory, points, shown)
    text = shown.file.getvalue()
    assert (
        'no control' in text and f'success, {seeds} seeds' in text and 'no control H=' not in text
    )


def output_of(program):
    """Of an entry point's functions: each defines flags, so one process has one of them."""
    done = subprocess.run(
        [sys.executable, '-c', program], check=True, capture_output=True, text=True
    )
    return done.stdout


def test_no_control_is_a_row_of_every_table():
    names = ('_training_curves', '_test_success', '_horizon_ablation')
    program = (
        "from mpq_jax.commands import reproduce as r; r.FLAGS(['reproduce', '--horizons=4'])\n"
    )
    program += '\n'.join(f"print(r.{name}('ball_in_cup')[0])" for name in names)
    assert output_of(program) == f'{point("none", 1)}\n' * 3


def test_what_is_reproduced_has_the_papers_noise():
    """White, though the pendulum's preset has knots; unless another is asked for."""
    program = """
from mpq_jax.commands import reproduce as r
from mpq_jax.sweep import SweepDirectory
for flags in ([], ['--preset=paper_learning'], ['--set=planner.noise=coloured'], ['--planner=dmd']):
    r.FLAGS(['reproduce', *flags])
    points = r._training_curves('pendulum')
    grid = r._grid('pendulum', points, SweepDirectory('nowhere'))
    print(*(grid.config(point).validate().planner.noise for point in points[1:3]))
    r.FLAGS.unparse_flags()
"""
    said = output_of(program).split()
    assert said == ['white'] * 4 + ['coloured'] * 2 + ['white'] * 2


def test_evaluations_are_printed_with_their_seeds():
    figure = {'mean': 0.75, 'low': None, 'high': None}
    figure['per_seed'] = {'0': {'mean': 0.5}, '1': {'mean': 1.0}}
    program = 'from mpq_jax.commands import evaluate; from rich.console import Console\n'
    program += f"evaluate._show(Console(width=200), 'success', {figure})"
    assert output_of(program) == 'success: 0.75 (0.50, 1.00), 2 seeds\n'


def test_the_table_of_test_success(tmp_path):
    points = [point('mpq', 4), point('mpq', 4, q_data='dr'), point('softq', 1)]
    directory = made_up(tmp_path / 'sweep', points, [np.ones((2, 4))] * 3)
    rates = ([0.9, 0.7], [0.5, 0.3], [0.1, 0.1])
    for cell, means in zip(directory.read()['cells'], rates, strict=True):
        figure = {'per_seed': {str(seed): {'mean': mean} for seed, mean in enumerate(means)}}
        content = {'trained_episodes': 4, 'test_episodes_per_seed': 100}
        content |= {'success': figure}
        for name, part in (('success_at_end', 2), ('success_share', 4)):
            own = {str(seed): {'mean': mean / part} for seed, mean in enumerate(means)}
            content[name] = {'per_seed': own}
        file = directory.path / cell['directory'] / 'evaluation.json'
        write_atomically(file, json.dumps(content))
    paper_figures.success_table(directory, points, 100, QUIET)
    rows = rows_of(directory, 'test_success')
    assert [row['success'] for row in rows] == pytest.approx([0.8, 0.4, 0.1])
    assert [row['success_share'] for row in rows] == pytest.approx([0.2, 0.1, 0.025])
    assert [row['success_at_end'] for row in rows] == pytest.approx([0.4, 0.2, 0.05])
    assert [row['paper'] for row in rows] == [0.85, 0.41, 0.09]
    assert rows[0]['success_low'] is None and rows[0]['seeds'] == 2
    assert rows[0]['success_by_seed'] == [0.9, 0.7]


def test_draw_only_shows_what_has_run_and_runs_nothing(tmp_path):
    points = [point('mpq', 4), point('mppi', 4), point('softq', 1)]
    directory = made_up(tmp_path / 'sweep', points, [np.ones((2, 30))] * 3)
    (directory.path / directory.read()['cells'][2]['directory'] / 'metrics.csv').unlink()
    before = sorted(directory.path.rglob('*'))
    flags = ['--figure=training_curves', '--task=ball_in_cup', '--draw_only']
    assert run('reproduce', *flags, f'--run_dir={directory.path}').returncode == 0
    rows = rows_of(directory, 'training_curves')
    assert [row['agent'] for row in rows] == ['MPQ H=4', 'MPPI H=4']
    new = {p.name for p in set(directory.path.rglob('*')) - set(before)}
    assert new == {f'training_curves.{kind}' for kind in ('png', 'json', 'csv')}
    refused = run('reproduce', *flags, f'--run_dir={tmp_path / "none"}')
    assert refused.returncode and 'none' in refused.stderr
