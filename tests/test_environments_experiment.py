"""The benchmark in others' environments: what it runs, and what its table says."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import environments_page
from mpq_jax.published import dm_control_returns
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
    assert '1/1 episodes' in first.stdout and '1/1 episodes' not in second.stdout
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
