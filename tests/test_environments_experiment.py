"""The benchmark in others' environments: what it runs, and what its table says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import environments_page
from mpq_jax.figures import plots
from mpq_jax.published import dm_control_returns
from mpq_jax.sweep.results import Outcome
from tests.entry_points import run

pytest.importorskip('gymnasium', reason='the test extra is not installed')


def test_the_command_runs_each_agent_once_and_shows_the_environments_return(tmp_path):
    flags = [
        '--entries=double_pendulum', '--agents=none,mppi', '--num_seeds=1', '--episodes=1',
        f'--run_dir={tmp_path}',
    ]  # fmt: skip
    first, second = run('environments', *flags), run('environments', *flags)
    assert first.returncode == 0, first.stderr
    content = json.loads((tmp_path / 'environments.json').read_text())
    agents = [row['agent'] for row in content['rows']]
    assert agents[0] == 'no control' and len(agents) == 3
    for row in content['rows']:
        (own,), (steps,) = row['own_return'], row['environment_steps']
        assert 0.0 < own <= 10.0 * steps and row['seeds'] == [100]
    text = (tmp_path / 'environments.md').read_text()
    assert text.count('\n|') == 2 + len(agents) and 'TD-MPC2' not in text
    assert (tmp_path / 'environments.png').exists()
    assert 'compiling' in first.stdout and 'compiling' not in second.stdout
    # On a machine without these sweeps their rows stand.
    (tmp_path / 'double_pendulum').rename(tmp_path / 'elsewhere')
    entry = SimpleNamespace(real_system='gymnasium', published='')
    environments_page.write(tmp_path, {'double_pendulum': entry}, None)
    assert (tmp_path / 'environments.md').read_text() == text
    assert json.loads((tmp_path / 'environments.json').read_text())['rows'] == content['rows']


def test_published_returns_stand_below_ours():
    """TD-MPC2 on cartpole swing-up: 839 after 100 000 steps, three seeds."""
    found = dm_control_returns('cartpole-swingup')['tdmpc2'][100_000]
    assert len(found) == 3 and round(np.mean(found)) == 839
    lines = environments_page._published('cartpole-swingup')
    assert len(lines) == 6 and any('TD-MPC2' in line and '839' in line for line in lines)
    assert environments_page._published('') == []


def test_seeds_that_ended_apart_are_one_row():
    """Two runs of one seed, of three and of five episodes of ten steps."""
    entry = SimpleNamespace(repeat=2)
    outcomes = []
    for seed, returns in ((100, [1.0, 2.0, 6.0]), (101, [0.0, 0.0, 0.0, 1.0, 9.0])):
        steps = 10.0 * np.arange(1, len(returns) + 1)
        columns = {'own_return': returns, 'env_steps': steps, 'model_steps': 3.0 * steps}
        tables = {name: np.array([column]) for name, column in columns.items()}
        tables['success_share'] = np.full((1, len(returns)), np.nan)
        outcomes.append(Outcome({'agent': 'mpq'}, 'mpq', [seed], tables, 1.25))
    row = environments_page._figures(outcomes, entry)
    assert row['seeds'] == [100, 101] and row['episodes'] == 3 and row['seconds'] == 2.5
    assert row['own_return'] == [3.0, 2.0] and row['last_quarter'] == [6.0, 9.0]
    assert row['environment_steps'] == [60.0, 100.0] and row['model_steps'] == [90.0, 150.0]
    assert row['curve']['environment_steps'][0] == [20.0, 40.0, 60.0]
    assert 'success_share' not in row
    axes = plots.new_figure(4.0, 4.0).add_subplot()
    environments_page._curve(axes, {'agent': 'MPQ', **row})
    (line,) = axes.get_lines()  # at 20 the first episode of each: 1 and 0
    x, y = line.get_data()
    assert y[np.searchsorted(x, 20.0)] == pytest.approx(0.5) and x[-1] == 60.0
