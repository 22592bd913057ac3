"""The page of learned dynamics: rows of what has run, rows of before, and the command."""

import json

import numpy as np

from experiments import learned_dynamics, learned_dynamics_page
from tests.entry_points import run
from tests.test_reproduce import made_up

ENTRIES = tuple(learned_dynamics.ENTRIES)


def test_rows_tables_and_the_figure_are_of_the_sweeps(tmp_path):
    rng = np.random.default_rng(0)
    trials = rng.integers(0, 180, (5, 15)).astype(float)
    made_up(tmp_path / 'cartpole_true', [{}], [trials], 'cartpole_swingup')
    models = [{'planner_model': 'biased'}, {'planner_model': 'true'}]
    returns = [rng.integers(-900, -100, (5, 24)).astype(float) for _ in models]
    made_up(tmp_path / 'pendulum_mppi', models, returns, 'pendulum')
    text = learned_dynamics_page.write(tmp_path, ENTRIES)
    best = [trials[:, :6].max(axis=1), trials.max(axis=1), trials[:, 10:].mean(axis=1)]
    row = next(line for line in text.splitlines() if 'CEM, true model' in line).split(' | ')
    for cell, expected in zip(row[1:4], best, strict=True):
        assert cell.startswith(f'{expected.mean():.1f} [')
    for model, table in zip(models, returns, strict=True):
        line = f'| MPPI H=32 | {model["planner_model"]} | {table[:, :20].mean():.0f} ['
        assert line in text
    assert (tmp_path / 'cartpole.png').exists()
    rows = json.loads((tmp_path / 'learned_dynamics.json').read_text())['rows']
    assert [row['entry'] for row in rows] == ['cartpole_true', 'pendulum_mppi', 'pendulum_mppi']
    assert rows[0]['return'] == np.round(trials, 2).tolist()


def test_tasks_with_a_success_show_its_share_of_the_later_episodes(tmp_path):
    values = np.random.default_rng(1).integers(0, 2, (5, 30)).astype(float)
    made_up(tmp_path / 'ball_in_cup', [{'planner_model': 'learned'}], [values])
    text = learned_dynamics_page.write(tmp_path, ENTRIES)
    assert '| ball in cup | model | episodes 1 to 10 | episodes 11 to 30 |' in text
    row = next(line for line in text.splitlines() if '| learned |' in line).split(' | ')
    assert row[3].startswith(f'{values[:, 10:].mean():.0f} [')
    assert row[4].startswith(f'{values[:, 10:].mean() / 4:.2f} [')


def test_rows_that_are_there_stand_for_their_sweeps(tmp_path):
    made_up(tmp_path / 'a' / 'cartpole_true', [{}], [np.ones((5, 15))], 'cartpole_swingup')
    learned_dynamics_page.write(tmp_path / 'a', ENTRIES)
    made_up(tmp_path / 'b' / 'cartpole_biased', [{}], [np.zeros((5, 15))], 'cartpole_swingup')
    kept = (tmp_path / 'a' / 'learned_dynamics.json').read_text()
    (tmp_path / 'b' / 'learned_dynamics.json').write_text(kept)
    text = learned_dynamics_page.write(tmp_path / 'b', ENTRIES)
    assert 'CEM, true model | 1.0' in text and 'CEM, biased model | 0.0' in text


def test_the_command_shows_what_there_is_and_refuses_what_there_is_not(tmp_path):
    result = run('learned_dynamics', '--draw_only', f'--run_dir={tmp_path}')
    assert result.returncode == 0 and not result.stdout.strip()
    assert run('learned_dynamics', '--entries=acrobot', f'--run_dir={tmp_path}').returncode == 2
