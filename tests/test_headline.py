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


def test_plain_mppi_with_mpqs_noise_is_a_row_of_its_own(tmp_path):
    """Its noise is named; the README's columns are of its own temperature and the paper's."""
    own, noise = {'agent': 'mppi', 'planner.horizon': 4}, {'planner.noise': 'knots'}
    others = [{'agent': agent, 'planner.horizon': h} for agent, h in (('none', 1), ('mpq', 4))]
    softq = {'agent': 'softq', 'planner.horizon': 1}
    made_up(tmp_path / 'ball_in_cup', [own, *others, softq], [IDLE, IDLE, OURS, IDLE])
    where = tmp_path / headline_table.with_noise_of_mpq('ball_in_cup')
    made_up(where, [own | noise], [OURS])
    headline_table.write(tmp_path, {'ball_in_cup': 0}, QUIET)
    rows = json.loads((tmp_path / 'headline.json').read_text())['rows']
    assert [row['noise'] for row in rows] == ['white', 'white', 'knots', 'white', 'white']
    text = (tmp_path / 'headline.md').read_text()
    assert 'MPPI H=4, λ=0.15, knots | 0.85 [' in text and 'MPPI H=4, λ=0.15 (not' in text
    plain = headline_text.summary(rows).splitlines()[-1].split(' | ')
    assert plain[2].startswith('0.20 [') and plain[3] == 'the same'


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
