"""Somebody else's environments as real systems, against the environments driven by hand."""

import dataclasses
import importlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageSequence

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.environments.adaptors import EnvironmentSystem
from mpq_jax.environments.adaptors.dm_control_environment import DmControlEnvironment, load_suite
from mpq_jax.environments.adaptors.gymnasium_environment import GymnasiumEnvironment
from mpq_jax.environments.real_system import EpisodeEnded
from mpq_jax.environments.registry import system_maker
from mpq_jax.figures import video
from mpq_jax.runs.metrics import read_table
from mpq_jax.tasks import Start, Task, View, register_task
from tests.conftest import lq_task, tiny_config

gymnasium = pytest.importorskip('gymnasium')
pytest.importorskip('dm_control')

PENDULUM = 'gymnasium:InvertedPendulum-v5'


def reacher_task(**changes):
    """dm_control's reacher, from its own MJCF; its goal is a variable."""
    model, assets = importlib.import_module('dm_control.suite.reacher').get_model_and_assets()
    fields = {
        'name': 'reacher', 'episode_steps': 1000, 'control_timestep': 0.02,
        'mjcf': model.decode(), 'assets': assets, 'views': {'finger': View('geom', 'finger')},
        'reset': lambda key: Start(jnp.zeros(2), jnp.zeros(2), jnp.zeros(3)),
        'variables_at': lambda reading, position_of: position_of('target'),
        'observe': lambda reading, goal: jnp.concatenate([reading.sensors['finger'], goal]),
        'cost': lambda reading, goal, action: jnp.sum((reading.sensors['finger'] - goal) ** 2),
    }  # fmt: skip
    return Task(**(fields | changes))


def system_of(task, name):
    """One system of a task."""
    return system_maker(name).make(task, PhysicsConfig(), 1)[0]


@pytest.fixture(scope='module', autouse=True)
def dm_control_fits():
    """Its tables are made to fit before anything of it is imported."""
    load_suite('dm_control:reacher-easy')


def test_gymnasiums_steps_are_its_own():
    task = mpq_jax.load_task(PENDULUM)
    system, direct = system_of(task, 'gymnasium'), gymnasium.make('InvertedPendulum-v5')
    measured = system.reset(jax.random.key(5))
    assert isinstance(system, EnvironmentSystem)
    inside = direct.unwrapped
    direct.reset(seed=int(jax.random.key_data(jax.random.key(5))[-1]))
    random, total = np.random.default_rng(0), 0.0
    for _ in range(6):
        data = inside.data
        np.testing.assert_array_equal(measured.state.qpos, data.qpos.astype(np.float32))
        np.testing.assert_array_equal(measured.state.qvel, data.qvel.astype(np.float32))
        np.testing.assert_array_equal(
            measured.state.warmstart, data.qacc_warmstart.astype(np.float32)
        )
        action = random.uniform(-0.2, 0.2, 1)
        measured = system.step(action)
        total += direct.step(3.0 * action)[1]  # its action space is [-3, 3]
        assert system.own_return == pytest.approx(total)
    again = system.reset(jax.random.key(5))
    assert system.own_return == 0.0
    np.testing.assert_array_equal(again.state.qpos, system.reset(jax.random.key(5)).state.qpos)
    assert (again.state.qpos != system.reset(jax.random.key(6)).state.qpos).any()


def test_an_environments_own_end_ends_the_episode():
    system = system_of(mpq_jax.load_task(PENDULUM), 'gymnasium')
    system.reset(jax.random.key(0))
    with pytest.raises(EpisodeEnded):
        for _ in range(100):
            measured = system.step(np.ones(1))
    assert system.own_terminated
    assert abs(measured.state.qpos[1]) > 0.2  # Gymnasium's rule


def test_dm_controls_steps_and_goals_are_its_own():
    system = system_of(reacher_task(), 'dm_control:reacher-easy')
    measured = system.reset(jax.random.key(3))
    suite = importlib.import_module('dm_control.suite')
    direct = suite.load('reacher', 'easy', task_kwargs={'random': 0})
    direct.task.random.seed(int(jax.random.key_data(jax.random.key(3))[-1]))
    direct.reset()
    total = 0.0
    for action in np.random.default_rng(0).uniform(-1.0, 1.0, (40, 2)):
        physics = direct.physics
        np.testing.assert_allclose(measured.state.qpos, physics.data.qpos, rtol=1e-6)
        np.testing.assert_allclose(
            measured.reading.sensors['finger'], physics.named.data.geom_xpos['finger'], rtol=1e-6
        )
        np.testing.assert_allclose(
            measured.state.variables, physics.named.model.geom_pos['target'], rtol=1e-6
        )
        measured = system.step(action)
        total += direct.step(action).reward
        assert system.own_return == pytest.approx(total)


def test_a_control_step_may_be_several_of_the_environments():
    task = reacher_task(control_timestep=0.06)
    system = system_of(task, 'dm_control:reacher-easy')
    each = system_of(reacher_task(), 'dm_control:reacher-easy')
    system.reset(jax.random.key(1))
    each.reset(jax.random.key(1))
    action = np.array([0.5, -1.0])
    after = system.step(action)
    for _ in range(3):
        expected = each.step(action)
    np.testing.assert_array_equal(after.state.qpos, expected.state.qpos)
    assert system.own_return == each.own_return


@pytest.mark.parametrize(
    'name, task, said',
    [
        ('gymnasium:HalfCheetah-v6', None, r"real_system = 'gymnasium:HalfCheetah-v6'.*"
         r"did you mean 'HalfCheetah-v5'"),
        ('gymnasium:CartPole-v1', None, 'one with qpos and qvel: CartPole-v1 has no MuJoCo model'),
        ('dm_control:reacher-eay', None, r"did you mean 'reacher-easy'"),
        ('dm_control', None, r"dm_control:ID.*the task 'reacher' has no environment of its own"),
        ('gymnasium:HalfCheetah-v5', None, "the task 'reacher': it has 9 qpos, the task has 2"),
        ('dm_control:reacher-easy', {'control_timestep': 0.03}, r'0\.02 s, goes into.*0\.03 s'),
        ('dm_control:reacher-easy', {'variables_at': lambda reading, at: at('aim')},
         "the environment has no body, geom or site 'aim'"),
        ('dm_control:reacher-easy', {'variables_at': lambda reading, at: np.zeros(2)},
         r'variables_at returned shapes \(2,\): reset gives variables of \(3,\)'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_sentence(name, task, said):
    with pytest.raises((ConfigError, mpq_jax.TaskError), match=said):
        system_maker(name).check(reacher_task(**(task or {})), PhysicsConfig(timestep=0.01))


@pytest.mark.parametrize(
    'module, adaptor, extra',
    [
        ('gymnasium', GymnasiumEnvironment, 'gymnasium'),
        ('dm_control.suite', DmControlEnvironment, 'dm_control'),
    ],
)
def test_a_missing_package_says_how_to_install_it(monkeypatch, module, adaptor, extra):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"pip install 'mpq_jax\[{extra}\]'"):
        adaptor('any', f'{extra}:any')


def test_a_missing_playground_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mujoco_playground', None)
    with pytest.raises(mpq_jax.TaskError, match=r"pip install 'mpq_jax\[playground\]'"):
        mpq_jax.load_task('playground:Anything')
    with pytest.raises(ConfigError, match=r"pip install 'mpq_jax\[playground\]'"):
        system_maker('playground:Anything').check(reacher_task(), PhysicsConfig())


@pytest.mark.parametrize('name', ['mujoco:any', 'gymnasiun:HalfCheetah-v5', 'simulated:x'])
def test_only_environments_have_ids(name):
    with pytest.raises(ConfigError, match='real_system'):
        tiny_config(real_system=name).validate()


def short_pendulum():
    return dataclasses.replace(mpq_jax.load_task(PENDULUM), episode_steps=30)


def run_config(**changes):
    task = f'{__name__}:short_pendulum'
    fields = {
        'real_system': 'gymnasium', 'episodes': 2, 'num_seeds': 1,
        'planner.horizon': 3, 'planner.num_samples': 12, 'planner.noise_variance': 0.01,
        'planner.noise': 'white',
        'planner_physics.backend': 'mujoco',
    }  # fmt: skip
    return mpq_jax.set_fields(mpq_jax.preset(task, 'mppi'), fields | changes)


def test_a_run_reports_the_environments_own_return(tmp_path):
    """Gymnasium pays one for each step but that which falls: its return is their number."""
    run = mpq_jax.train(run_config(), tmp_path / 'run')
    own, steps, ended = (
        read_table(run.metrics_file, name) for name in ('own_return', 'env_steps', 'own_terminated')
    )
    each = np.diff(steps, axis=1, prepend=0.0)
    np.testing.assert_array_equal(own, each - ended)
    longer = mpq_jax.train(run_config(episodes=3), tmp_path / 'run', resume=True)
    whole = mpq_jax.train(run_config(episodes=3), tmp_path / 'whole')
    np.testing.assert_array_equal(
        read_table(longer.metrics_file, 'own_return'), read_table(whole.metrics_file, 'own_return')
    )
    assert np.isfinite(mpq_jax.evaluate(run.path, 2, beside_no_control=False)['own_return']['mean'])


def test_environments_fail_under_the_guard_and_are_closed(tmp_path, monkeypatch):
    closed, steps, own_step = [], [], GymnasiumEnvironment.step

    def step(environment, action):
        steps.append(action)
        if len(steps) == 3:
            raise RuntimeError('unplugged')
        return own_step(environment, action)

    monkeypatch.setattr(GymnasiumEnvironment, 'step', step)
    monkeypatch.setattr(GymnasiumEnvironment, 'close', lambda self: closed.append(self))
    run = mpq_jax.train(run_config(), tmp_path / 'run')
    assert read_table(run.metrics_file, 'env_steps').shape == (1, 2)
    assert len(set(map(id, closed))) >= 2  # the one that was checked, and the one that was driven


@pytest.mark.skipif(not video.can_render(), reason='no GL library works here')
def test_an_episode_is_drawn_by_the_environment(tmp_path, monkeypatch):
    """Also where something else was drawn meanwhile, as MuJoCo's contexts are a thread's."""
    monkeypatch.setenv('MUJOCO_GL', video.installed_backend())
    task = mpq_jax.load_task(PENDULUM)
    system = system_of(task, 'gymnasium')
    states = [system.reset(jax.random.key(0)).state]
    states += [system.step(np.ones(1)).state for _ in range(3)]
    together = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
    assert system.draw(states[0]).std() > 0.0
    video.write_video(tmp_path / 'x.gif', task, together, draw=system.draw)
    read = ImageSequence.Iterator(Image.open(tmp_path / 'x.gif'))
    frames = [np.asarray(frame.convert('L')) for frame in read]
    assert len(frames) > 1 and frames[0].shape == system.draw(states[0]).shape[:2]
    assert all(frame.std() > 0.0 for frame in frames) and (frames[0] != frames[-1]).any()


def test_the_simulated_system_has_no_return_of_its_own(tmp_path):
    run = mpq_jax.train(tiny_config(episodes=1, agent='mppi'), Path(tmp_path) / 'run')
    assert np.isnan(read_table(run.metrics_file, 'own_return')).all()


def test_a_task_without_mjcf_has_no_environment():
    register_task('no_plant', lq_task)
    with pytest.raises(mpq_jax.TaskError, match='no MJCF'):
        system_maker('dm_control:reacher-easy').check(lq_task(), PhysicsConfig())
