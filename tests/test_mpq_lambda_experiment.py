"""The figure of MPQ(lambda): rows of what has run, and the command."""

import json

import numpy as np

from experiments import mpq_lambda
from mpq_jax.sweep.results import read_outcomes
from tests.entry_points import run
from tests.test_reproduce import made_up


def test_rows_table_and_figure_are_of_the_sweeps(tmp_path):
    rng = np.random.default_rng(0)
    points = [
        {'planner.td_schedule': 'constant', 'planner.td_lambda': share, 'planner.horizon': horizon}
        for share, horizon in ((0.5, 4), (1.0, 8))  # cells of their own
    ]
    values = [rng.integers(0, 2, (5, 8)).astype(float) for _ in points]
    directory = made_up(tmp_path / 'ball_in_cup_constant', points, values)
    text = mpq_lambda.write(tmp_path)
    rows = json.loads((tmp_path / 'mpq_lambda.json').read_text())['rows']
    assert [row['lambda'] for row in rows] == [0.5, 1.0]
    for row, table in zip(rows, values, strict=True):
        np.testing.assert_allclose(row['all'], table.mean(axis=1))
        np.testing.assert_allclose(row['last_quarter'], table[:, 6:].mean(axis=1))
    assert f'| ball_in_cup, H=4, biased | 0.5 | {values[0].mean():.2f} [' in text
    assert (tmp_path / 'mpq_lambda.png').exists()
    cells = directory.read()['cells']  # a cell that has just begun has a header alone
    file = directory.path / cells[0]['directory'] / 'metrics.csv'
    file.write_text(file.read_text().partition('\n')[0] + '\n')
    assert [outcome.fields for outcome in read_outcomes(directory)] == points[1:]


def test_the_command_shows_what_there_is(tmp_path):
    result = run('mpq_lambda', '--draw_only', f'--run_dir={tmp_path}')
    assert result.returncode == 0 and '| lambda |' in result.stdout
    assert run('mpq_lambda', '--entries=acrobot', f'--run_dir={tmp_path}').returncode == 2
