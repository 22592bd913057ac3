"""From a robot's file to a task that runs: mpq new-task, mpq check, mpq train."""

import importlib.resources
import sys

import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import PlannerConfig
from mpq_jax.evaluation.task_file import text_of
from mpq_jax.evaluation.task_look import actuator_facts, learning_share, look
from mpq_jax.runs.metrics import read_rows
from tests.conftest import lq_task
from tests.entry_points import run
from tests.test_any_model import PLAIN, URDF, task_of

COMMANDS = {'package': 'mpq_jax.commands'}
SMALL = {
    'agent': 'mpq', 'episodes': 1, 'num_seeds': 1, 'planner.horizon': 4, 'planner.num_samples': 4,
    'belief.num_draws': 2, 'learner.num_states': 8, 'learner.minibatch_size': 4,
    'learner.epochs': 1, 'real_system': 'mujoco', 'planner_physics.backend': 'mujoco',
}  # fmt: skip


def robots(folder):
    """Files as people have them: with a keyframe, without control ranges, without actuators."""
    assets = importlib.resources.files('gymnasium') / 'envs' / 'mujoco' / 'assets'
    (folder / 'cheetah.xml').write_text((assets / 'half_cheetah.xml').read_text())
    (folder / 'my-cart.xml').write_text(PLAIN)
    (folder / 'servo.xml').write_text(PLAIN.replace(' ctrlrange="-5 5"', ''))
    (folder / 'arm.urdf').write_text(URDF)
    return ['cheetah.xml', 'my-cart.xml', 'servo.xml', 'arm.urdf']


def test_a_robots_file_becomes_a_task_that_trains(tmp_path, monkeypatch):
    for file in robots(tmp_path):
        done = run('new_task', f'--model={file}', **COMMANDS, folder=tmp_path)
        assert done.returncode == 0, done.stderr
        module = file.partition('.')[0].replace('-', '_') + '_task'
        assert f'mpq check --task={module}:make_task' in done.stdout
        monkeypatch.syspath_prepend(str(tmp_path))
        config = mpq_jax.set_fields(mpq_jax.preset(f'{module}:make_task', 'mpq'), SMALL)
        assert 0 < config.planner.temperature != 0.1  # measured
        native = 'mujoco' if file == 'cheetah.xml' else 'simulated'  # MJX takes minutes there
        assert mpq_jax.preset(f'{module}:make_task', 'mpq').real_system == native
        if file == 'cheetah.xml':
            rows = read_rows(mpq_jax.train(config, tmp_path / 'run').metrics_file)
            assert np.isfinite(float(rows[0]['return']))
    assert (tmp_path / 'cheetah_task.py').read_text().count('\n') < 60
    again = run('new_task', '--model=my-cart.xml', **COMMANDS, folder=tmp_path)
    assert again.returncode == 2 and 'a file that does not exist yet' in again.stderr
    for name in [name for name in sys.modules if name.endswith('_task')]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    ('flag', 'words'),
    [
        ('--model=gone.xml', 'that exists'),
        ('--out=my robot.py', 'name of a Python module'),
        ('--help_me', 'help_me'),
    ],
)
def test_what_cannot_be_is_said(flag, words, tmp_path):
    (tmp_path / 'my.xml').write_text(PLAIN)
    done = run('new_task', '--model=my.xml', flag, **COMMANDS, folder=tmp_path)
    assert done.returncode != 0 and words in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['my.xml']


def test_the_file_is_as_the_model_needs_it(tmp_path):
    source, out = tmp_path / 'robots' / 'x.xml', tmp_path / 'x_task.py'
    text = text_of(mujoco.MjModel.from_xml_string(PLAIN), source, out, 0.25, False)
    assert "parent / 'robots/x.xml'" in text and "'planner.temperature': 0.25" in text
    assert "View('site', 'end', 'position')" in text and 'starts_near(MODEL, 0' in text
    assert 'spec' not in text
    compile(text, str(out), 'exec')


def test_check_looks_at_all_of_a_task(tmp_path):
    done = run('check', '--task=ball_in_cup', '--notime', **COMMANDS, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    for words in (
        '10 steps of 0.002 s',
        'motor on slide cup_x [N],',
        'stiffness',
        'all cost the same',
    ):
        assert words in done.stdout
    assert 'no picture' in done.stdout or (tmp_path / 'ball_in_cup.png').stat().st_size > 1000
    done = run('check', '--task=tests.conftest:lq_task', **COMMANDS)
    assert (
        done.returncode == 0 and 'equations' in done.stdout and 'planner.temperature' in done.stdout
    )
    assert run('check', **COMMANDS).returncode == 2
    broken = run('check', '--task=tests.conftest:broken_task', '--notime', **COMMANDS)
    assert 'not finite' in broken.stdout


def test_a_learning_round_can_be_half_of_the_loop():
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum', 'mpq'), {'learner.num_states': 1280})
    share, fewer = learning_share(config)
    assert (share, fewer) == (1280 / (1280 + 200), 192)  # as many plans as an episode has steps
    config = mpq_jax.set_fields(config, {'learner.num_states': fewer})
    assert 0.4 < learning_share(config)[0] <= 0.5


def test_a_look_counts_what_happens():
    """Costs, ends and successes of a plant that counts its steps; effects of a parameter."""
    planner = PlannerConfig(horizon=3, noise_variance=1.0)
    ends = lq_task(
        equations=lambda p, qpos, qvel, action: (qpos, qvel + 1.0),
        reset=lambda key: mpq_jax.Start(np.zeros(1, np.float32), np.zeros(1, np.float32)),
        cost=lambda reading, variables, action: reading.qvel[0],
        terminated=lambda reading, variables: reading.qvel[0] >= 4,
        terminal_cost=lambda reading, variables: 100.0 + 0 * reading.qvel[0],
        success=lambda reading, variables: reading.qvel[0] == 3,
    )
    found = look(ends, planner)
    assert (found.idle.lengths == 4).all() and found.idle.successes.all()
    np.testing.assert_allclose(found.idle.returns, -(0 + 1 + 2 + 3 + 100))
    assert found.plan_cost_spread == 0 and found.effects == []
    heavy = task_of(
        parameters=(mpq_jax.RandomizedParameter('mass', 1.0, 0.5, 2.0),),
        set_parameters=lambda model, values: model.body_mass.__setitem__(1, values['mass']),
        cost=lambda reading, variables, action: 3.0 * action[0],
    )
    found = look(heavy, planner)
    (effect,) = found.effects
    assert effect.name == 'mass' and effect.moved > 0.01 and effect.steps == 5
    draws = np.clip(np.random.default_rng(0).normal(size=(100_000, 3)), -1, 1)
    spread = np.std(3.0 * draws @ planner.discount ** np.arange(3))
    np.testing.assert_allclose(found.plan_cost_spread, spread, rtol=0.15)
    ((name, kind, limits),) = actuator_facts(heavy)
    assert (name, kind, limits) == ('push', 'motor on slide slide [N]', '-5 to 5')
