"""The headline table: what its rows say, held against the episodes they are made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiments import headline_table, headline_text
from tests.entry_points import run
from tests.test_reproduce import QUIET, made_up

ROOT = Path(__file__).parent.parent
README, RESULTS = (ROOT / 'README.md').read_text(), ROOT / 'experiments' / 'results' / 'headline'


def successes(*rows):
    return np.array(rows, float)


IDLE = successes([1, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 1, 0, 0])
OURS = successes([1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1])


def test_rows_are_paired_with_no_control(tmp_path):
    points = [{'agent': agent, 'planner.horizon': h} for agent, h in (('none', 1), ('mpq', 4))]
    made_up(tmp_path / 'ball_in_cup', points, [IDLE, OURS])
    headline_table.write(tmp_path, {'ball_in_cup': 0}, QUIET)
    content = json.loads((tmp_path / 'headline.json').read_text())
    idle, ours = content['rows']
    assert (idle['agent'], ours['agent'], ours['temperature']) == ('none', 'mpq', 0.05)
    assert ours['better'] is True and 'better' not in idle
    np.testing.assert_allclose(ours['training']['success']['seeds'], OURS.mean(axis=1))
    left = [
        [o for o, i in zip(*pair, strict=True) if not i] for pair in zip(OURS, IDLE, strict=True)
    ]
    np.testing.assert_allclose(
        ours['not_by_itself']['seeds'], [np.mean(each) for each in left], atol=1e-4
    )
    assert ours['paper'] == {'training': pytest.approx(ours['paper']['training']), 'test': 0.85}
    assert 'seeds 0 to 2' in ours['chosen_on'] and ours['test'] is None
    text = (tmp_path / 'headline.md').read_text()
    assert text == headline_text.markdown(content['rows'])
    assert '| ball_in_cup, 5 seeds x 4 | MPQ H=4, λ=0.05 | 0.85 [' in text
    assert (tmp_path / 'ball_in_cup.png').exists()


def test_a_row_that_is_no_better_says_so_and_few_seeds_are_listed(tmp_path):
    points = [{'agent': agent, 'planner.horizon': h} for agent, h in (('none', 1), ('mppi', 4))]
    made_up(tmp_path / 'ball_in_cup', points, [IDLE[:2], IDLE[:2]])
    headline_table.write(tmp_path, {'ball_in_cup': 0}, QUIET)
    text = (tmp_path / 'headline.md').read_text()
    assert 'MPPI H=4, λ=0.15 (not better than no control) | 0.12 (0.25, 0.00)' in text


def test_white_noise_stands_beside_the_presets(tmp_path):
    """In rows of its own, MPQ's and MPPI's; the README has a line of it."""
    knots, white = {'planner.noise': 'knots'}, {'planner.noise': 'white'}
    long, table_3 = {'agent': 'mppi', 'planner.horizon': 48}, {'planner.temperature': 0.3}
    mppi, mpq = ({'agent': agent, 'planner.horizon': 4} for agent in ('mppi', 'mpq'))
    none, softq = ({'agent': agent, 'planner.horizon': 1} for agent in ('none', 'softq'))
    own = [none | white, softq | white, mppi | knots, long | knots, mpq | knots]
    made_up(tmp_path / 'ball_in_cup', own, [IDLE, IDLE, IDLE, OURS, OURS])
    where = tmp_path / headline_table.sweep_with('ball_in_cup', white)
    made_up(where, [mppi | white, mpq | white], [IDLE, IDLE])
    where = tmp_path / headline_table.sweep_with('ball_in_cup', table_3 | white)
    made_up(where, [mppi | table_3 | white], [OURS])
    headline_table.write(tmp_path, {'ball_in_cup': 0}, QUIET)
    rows = json.loads((tmp_path / 'headline.json').read_text())['rows']
    said = [(row['agent'], row['noise'], row['temperature']) for row in rows]
    assert said == [
        ('none', 'white', 0.05), ('mppi', 'knots', 0.15), ('mppi', 'knots', 0.15),
        ('mppi', 'white', 0.15), ('mppi', 'white', 0.3), ('softq', 'white', 0.015),
        ('mpq', 'knots', 0.05), ('mpq', 'white', 0.05),
    ]  # fmt: skip
    text = (tmp_path / 'headline.md').read_text()
    assert 'MPPI H=48, λ=0.15, knots | 0.85 [' in text and 'MPQ H=4, λ=0.05, knots |' in text
    assert 'MPQ H=4, λ=0.05, white noise (not' in text and 'SoftQ H=1, λ=0.015 (not' in text
    preset, paper = (
        line.strip('| ').split(' | ') for line in headline_text.summary(rows).splitlines()[2:]
    )
    assert preset[0] == 'ball_in_cup, 5 seeds x 4, H=4' and preset[3] == 'the same'
    assert '; H=48: 0.85 [' in preset[2] and preset[5].startswith('0.85 [')
    assert paper[0] == 'ball_in_cup, white noise as in the paper'
    assert [cell[:4] for cell in paper[1:6]] == ['0.20', '0.20', '0.85', '0.20', '0.20']
    assert 'H=' not in paper[2]


def test_the_command_runs_on_seeds_that_nothing_was_chosen_on(tmp_path):
    """And goes on where it was: the second call has nothing left to run."""
    flags = ['--tasks=pendulum', '--agents=none', '--num_seeds=2', '--episodes=1']
    for seconds in range(2):
        result = run('headline', *flags, f'--run_dir={tmp_path}')
        assert result.returncode == 0, result.stderr
        (row,) = json.loads((tmp_path / 'headline.json').read_text())['rows']
        assert row['seeds'] == [100, 101] and row['agent'] == 'none'
        assert ('compiling' in result.stdout) is (seconds == 0)
    refused = run('headline', '--tasks=pendulm', f'--run_dir={tmp_path}')
    assert refused.returncode == 2 and "did you mean 'pendulum'" in refused.stderr


def test_the_readme_shows_the_table_that_the_rows_give():
    rows = json.loads((RESULTS / 'headline.json').read_text())['rows']
    assert headline_text.summary(rows) in README
    mpq = next(r for r in rows if (r['task'], r['agent']) == ('ball_in_cup', 'mpq'))
    share = np.mean(mpq['training']['success']['seeds'])
    line = next(x for x in README.splitlines() if x.startswith('| ball_in_cup'))
    assert f'| {share:.2f} [' in line
