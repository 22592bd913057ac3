"""mpq tune: what is tried, what wins, what goes on where it was."""

import csv
import json

import numpy as np
import pytest
from rich.console import Console

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.sweep import tuning
from mpq_jax.sweep.tuning import Between, tune
from tests.entry_points import run

FIXED = {
    'task': 'tests.conftest:lq_task', 'agent': 'mppi', 'seed': 0, 'num_seeds': 2, 'episodes': 1,
    'planner.num_samples': 8, 'belief.num_draws': 1, 'planner.horizon': 2,
}  # fmt: skip
SPACE = {'planner.temperature': Between(0.01, 100.0), 'planner.discount': [0.8, 0.9]}
START = {'planner.temperature': 50.0, 'planner.discount': 0.9}
QUIET = Console(quiet=True)


def test_the_best_of_all_seeds_wins_and_nothing_runs_twice(tmp_path, monkeypatch):
    tuned = tune(FIXED, SPACE, START, tmp_path, hours=0.0, generation=4, console=QUIET)
    assert tuned.tried[0].fields == START and len(tuned.tried) == 5
    assert all(0.01 <= one.fields['planner.temperature'] <= 100 for one in tuned.tried)
    assert json.loads((tmp_path / 'settings.json').read_text()) == tuned.winner
    assert tuned.after.score >= tuned.before.score or tuned.winner == START
    rows = list(csv.DictReader((tmp_path / 'tried.csv').open()))
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores, reverse=True) and len(rows) == 5
    best = max(tuned.tried, key=lambda one: one.score)
    np.testing.assert_allclose(scores[0], best.score, rtol=1e-5)
    finals = json.loads((tmp_path / 'final_001' / 'sweep.json').read_text())
    assert finals['seeds'] == [2, 3]
    ran = []
    monkeypatch.setattr('mpq_jax.sweep.launch.train', lambda *args, **named: ran.append(args))
    again = tune(FIXED, SPACE, START, tmp_path, hours=0.0, generation=4, console=QUIET)
    assert again == tuned and not ran


def test_a_search_learns_from_its_generations(tmp_path, monkeypatch):
    """A made-up return with its best temperature at 1: later generations come nearer to it."""

    def made_up(fixed, points, path, number, console):
        far = [abs(np.log10(point['planner.temperature'])) for point in points]
        returns = [(-x, -x) if x < 1.9 else (np.nan, -x) for x in far]
        return [tuning.Tried(p, r, number) for p, r in zip(points, returns, strict=True)]

    monkeypatch.setattr(tuning, '_run', made_up)
    clock = iter(range(0, 100_000, 100))
    monkeypatch.setattr(tuning.time, 'monotonic', lambda: next(clock))
    tuned = tune(FIXED, SPACE, START, tmp_path, hours=0.8, generation=8, console=QUIET)
    last = max(one.generation for one in tuned.tried)
    assert last >= 4
    far = [
        np.mean(
            [-one.score for one in tuned.tried if one.generation == g and np.isfinite(one.score)]
        )
        for g in (0, last)
    ]
    assert far[1] < 0.5 * far[0] and abs(np.log10(tuned.winner['planner.temperature'])) < 0.1


@pytest.mark.parametrize(
    ('flag', 'words'),
    [
        ('--space=planner.temperature', 'of the form'), ('--space=planner.horizon=1:4', 'one of'),
        ('--space=planner.temperature=2:1', '0 < low < high'), ('--num_seeds=6', 'at most 5'),
        ('--generation=0', 'at least 1'), ('--task=nothing', 'not known'),
        ('--space=planner.name=mppi,cme', "did you mean 'cem'"),
        ('--space=planner.elite_fraction=0.1:0.5', 'planner.elite_fraction'),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(flag, words):
    flags = ['--task=tests.conftest:lq_task', flag]
    done = run('tune', *flags, package='mpq_jax.commands')
    assert done.returncode == 2 and words in done.stderr


def test_the_command_writes_settings_that_the_task_can_have(tmp_path):
    flags = [
        '--task=tests.conftest:lq_task', '--hours=0', '--generation=2', '--num_seeds=1',
        '--episodes=1', '--space=planner.horizon=4', '--space=planner.noise=knots',
        '--set=planner.num_samples=8', '--set=belief.num_draws=1', f'--run_dir={tmp_path}',
    ]  # fmt: skip
    done = run('tune', *flags, package='mpq_jax.commands')
    assert done.returncode == 0, done.stderr
    assert 'settings={' in done.stdout and '3 points tried' in done.stdout
    settings = json.loads((tmp_path / 'settings.json').read_text())
    config = mpq_jax.set_fields(mpq_jax.preset('tests.conftest:lq_task', 'mppi'), settings)
    assert config.planner.temperature == settings['planner.temperature']


@pytest.mark.slow
def test_planners_are_searched_with_the_fields_that_all_of_them_have(tmp_path):
    """And fields of another planner, where it is the only one."""
    small = ['--set=planner.num_samples=16', '--set=belief.num_draws=1', '--hours=0']
    small += ['--task=tests.conftest:lq_task', '--num_seeds=1', '--space=planner.horizon=4']
    small += ['--episodes=1']
    both = ['--space=planner.name=mppi,predictive_sampling', '--generation=4']
    done = run('tune', *small, *both, f'--run_dir={tmp_path}/a', package='mpq_jax.commands')
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / 'a' / 'tried.csv').open()))
    assert {row['planner.name'] for row in rows} == {'mppi', 'predictive_sampling'}
    assert all(float(row['planner.temperature']) > 0 for row in rows)
    cem = ['--set=planner.name=cem', '--space=planner.elite_fraction=0.2:0.5', '--generation=2']
    done = run('tune', *small, *cem, f'--run_dir={tmp_path}/b', package='mpq_jax.commands')
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / 'b' / 'tried.csv').open()))
    assert all(0.1 <= float(row['planner.elite_fraction']) <= 0.5 for row in rows)


def test_without_optuna_it_says_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setitem(tuning.importlib.sys.modules, 'optuna', None)
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[tune\]'"):
        tune(FIXED, SPACE, START, tmp_path, hours=0.0, generation=2, console=QUIET)
