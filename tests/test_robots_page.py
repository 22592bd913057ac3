"""The steps of results/robots/README.md, in short: from a robot's XML to a tuned plan."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import mpq_jax
from experiments import tuning_table
from experiments.robots import file_of
from experiments.tuning_table import ENTRIES
from mpq_jax.figures.video import can_render
from tests.entry_points import ROOT, run

KEY = jax.random.key(0)
COMMANDS = {'package': 'mpq_jax.commands'}
FILES = {
    'double_pendulum': ('gymnasium', 'envs/mujoco/assets/inverted_double_pendulum.xml'),
    'half_cheetah': ('gymnasium', 'envs/mujoco/assets/half_cheetah.xml'),
    'walker': ('dm_control', 'suite/walker.xml'),
}
# The settings of the page, with plans that take seconds.
SMALL = [
    '--set=planner.num_samples=4', '--set=belief.num_draws=2', '--space=planner.horizon=4',
    '--space=planner.noise=knots',
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('robot', FILES)
def test_the_steps_of_a_robot(robot, tmp_path):
    package, place = FILES[robot]
    if find_spec(package) is None:
        pytest.skip(f'{package} is not installed')
    task = f'experiments.robots.{robot}:make_task'
    new = run('new_task', f'--model={file_of(package, place)}', **COMMANDS, folder=tmp_path)
    assert new.returncode == 0, new.stderr
    (written,) = tmp_path.glob('*_task.py')
    edited = (Path(ROOT) / 'experiments' / 'robots' / f'{robot}.py').read_text()
    kept = [line for line in written.read_text().splitlines() if line in edited.splitlines()]
    assert len(kept) > 25  # what a user edits is the rest
    checked = run('check', f'--task={task}', '--notime', f'--picture={tmp_path}/x.png', **COMMANDS)
    assert checked.returncode == 0, checked.stderr
    assert 'mass_scale' in checked.stdout and 'differ in cost by' in checked.stdout
    flags = ['--hours=0', '--generation=2', '--num_seeds=1', '--episodes=1', *SMALL]
    tuned = run('tune', f'--task={task}', *flags, f'--run_dir={tmp_path}/tune/{robot}', **COMMANDS)
    assert tuned.returncode == 0, tuned.stderr
    assert 'points tried' in tuned.stdout and 'settings={' in tuned.stdout
    settings = json.loads((tmp_path / 'tune' / robot / 'settings.json').read_text())
    config = mpq_jax.set_fields(mpq_jax.preset(task, 'mppi'), settings)
    action = mpq_jax.make_controller(config).act(*mpq_jax.load_task(task).reset(KEY)[:2])
    assert (np.abs(action) <= 1).all()
    if can_render():
        flags = [f'--entries={robot}', f'--run_dir={tmp_path}', f'--out={tmp_path}/robot.png']
        drawn = run('robots.picture', *flags)
        assert drawn.returncode == 0, drawn.stderr
        assert Image.open(tmp_path / 'robot.png').size == (6 * 240, 180)


@pytest.mark.slow
def test_tuned_and_untuned_are_shown_on_other_seeds(tmp_path):
    """The table of a search that is done; the second call has nothing left to run."""
    settings = {'planner.temperature': 0.1, 'planner.noise_variance': 2.0}
    (tmp_path / 'tune' / 'pendulum').mkdir(parents=True)
    (tmp_path / 'tune' / 'pendulum' / 'settings.json').write_text(json.dumps(settings))
    flags = ['--entries=pendulum', '--num_seeds=2', '--episodes=1', f'--run_dir={tmp_path}']
    first, second = run('tuning_table', *flags), run('tuning_table', *flags)
    assert first.returncode == 0, first.stderr
    rows = json.loads((tmp_path / 'tuned.json').read_text())['rows']
    labels = [row['settings'] for row in rows]
    assert labels == ['no control', 'untuned', "mpq check's temperature", 'tuned', 'preset']
    assert all(row['seeds'] == [100, 101] for row in rows) and rows[3]['fields'] == settings
    assert len({row['fields'].get('planner.temperature') for row in rows[1:4]}) == 3
    assert '1/1 episodes' in first.stdout and '1/1 episodes' not in second.stdout
    assert (tmp_path / 'tuned.md').read_text().count('| pendulum |') == 5
    assert (tmp_path / 'tuned.md').read_text() in second.stdout


def test_untuned_tasks_have_the_physics_of_ours_and_none_of_the_settings():
    for name in ('pendulum', 'ball_in_cup'):
        task, ours = mpq_jax.load_task(ENTRIES[name].task), mpq_jax.load_task(name)
        assert all(ours.settings[key] == value for key, value in task.settings.items())
        assert not [key for key in task.settings if '_physics.' not in key]
        assert task.agent_settings == {} and task.mjcf == ours.mjcf


def test_the_page_shows_the_files_that_run():
    page = (Path(ROOT) / 'experiments' / 'results' / 'robots' / 'README.md').read_text()
    blocks = re.findall(r'```python\n(.*?)```', page, re.DOTALL)
    for robot, block in zip(FILES, blocks, strict=True):
        assert block in (Path(ROOT) / 'experiments' / 'robots' / f'{robot}.py').read_text()
    for entry in (ENTRIES[robot] for robot in FILES):
        assert ' '.join(entry.tuning) in page and f'--hours={entry.hours}' in page
    rows = json.loads((Path(ROOT) / 'experiments/results/tuning/tuned.json').read_text())['rows']
    own = tuning_table.markdown([row for row in rows if row['entry'] in FILES])
    assert own in page and all(row['seeds'][0] == 100 for row in rows)
    text = (Path(ROOT) / 'experiments' / 'results' / 'tuning' / 'README.md').read_text()
    assert tuning_table.markdown(rows) in text
