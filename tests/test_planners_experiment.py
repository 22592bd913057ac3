"""The table of planners and noises: what is chosen, what is shown, what runs."""

import json
import re

import numpy as np
import pytest

from experiments import planners_table
from tests.entry_points import run
from tests.test_reproduce import QUIET, made_up


def test_rows_are_of_the_numbers_that_were_chosen(tmp_path):
    rng = np.random.default_rng(0)
    successes = rng.integers(0, 2, (5, 4)).astype(float)
    made_up(tmp_path / 'cup' / 'no_control', [{'agent': 'none'}], [np.zeros((5, 4))])
    point = {'planner.noise_variance': 2.5}
    made_up(tmp_path / 'cup' / 'mppi', [point], [successes])
    entry = ('ball_in_cup', 4, {}, 20, ('mppi', 'cem'))
    (tmp_path / 'plan_milliseconds_cup.json').write_text('{"mppi": 1.25}')
    planners_table.write(tmp_path, {'cup': entry, 'not_run': entry}, QUIET)
    idle, ours = json.loads((tmp_path / 'planners.json').read_text())['rows']
    assert (idle['combination'], ours['combination'], ours['chosen']) == (
        'no_control',
        'mppi',
        point,
    )
    np.testing.assert_allclose(ours['success'], successes.mean(axis=1))
    assert (ours['seeds'], ours['episodes']) == ([0, 1, 2, 3, 4], 4)
    text = (tmp_path / 'planners.md').read_text()
    row = next(line for line in text.splitlines() if line.startswith('| mppi'))
    assert f'{successes.mean():.2f} [' in row and '1.25 | noise_variance 2.5' in row
    (elsewhere := tmp_path / 'elsewhere').mkdir()  # another machine has the rows alone
    (elsewhere / 'planners.json').write_text((tmp_path / 'planners.json').read_text())
    planners_table.write(elsewhere, {'cup': entry, 'not_run': entry}, QUIET)
    assert json.loads((elsewhere / 'planners.json').read_text())['rows'] == [idle, ours]
    assert planners_table.kept_row(elsewhere, 'cup', 'mppi') == ours
    assert planners_table.kept_row(elsewhere, 'cup', 'cem') is None


@pytest.mark.slow
def test_the_command_chooses_on_other_seeds_than_it_shows(tmp_path):
    """And goes on where it was: the second call has nothing left to run."""
    flags = [
        '--entries=pendulum', '--combinations=mppi_target_ess', '--num_seeds=1', '--episodes=1',
        '--tuning_seeds=1', '--tuning_episodes=1', f'--run_dir={tmp_path}',
    ]  # fmt: skip
    first, second = run('planners', *flags), run('planners', *flags)
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / 'planners.json').read_text())['rows']
    assert [row['combination'] for row in rows] == ['no_control', 'mppi_target_ess']
    assert rows[1]['seeds'] == [100]
    tuned = json.loads((tmp_path / 'tuning/pendulum/mppi_target_ess/sweep.json').read_text())
    assert tuned['seeds'] == [0] and len(tuned['cells'][0]['configurations']) == 4
    returns = tmp_path / 'tuning/pendulum/mppi_target_ess/summary.json'
    tried = json.loads(returns.read_text())['configurations']
    best = max(tried, key=lambda one: one['auc']['mean'])
    assert rows[1]['chosen'] == best['fields']
    assert not re.search('1/1 episodes', second.stdout)
