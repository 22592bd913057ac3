"""Tasks for Gymnasium's MuJoCo environments against the environments themselves."""

import subprocess
import sys

import jax
import mujoco
import numpy as np
import pytest
from scipy.stats import ks_2samp, kurtosis

from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import load_model, physics_steps_per_control
from mpq_jax.suite import preset
from mpq_jax.suite.gymnasium import IDS, make_task
from mpq_jax.tasks import TASKS, register_task
from mpq_jax.tasks.plant import edited_model

gymnasium = pytest.importorskip('gymnasium')
pytest.importorskip('gymnasium.envs.mujoco.half_cheetah_v5')

from tests.gymnasium_comparison import (  # noqa: E402
    bonus,
    compare,
    functions_of,
    lagging,
    make_environment,
    of_one_instant,
    task_of,
    to_actuators,
)

# How far, at most, observation and reward of one instant are from those, over what was stepped.
LAG = {
    'InvertedDoublePendulum-v5': (0.0, 2e-4),
    'Reacher-v5': (2e-3, 2e-3),
    'Pusher-v5': (1e-2, 3e-3),
    'Ant-v5': (0.0, 0.1),
    'Humanoid-v5': (0.0, 2e-3),
}

# Random actions end an episode within what is stepped; HalfCheetah and others never end one.
FALLS = (
    'InvertedPendulum-v5',
    'InvertedDoublePendulum-v5',
    'Hopper-v5',
    'Walker2d-v5',
    'Humanoid-v5',
)


@pytest.mark.parametrize('environment_id', IDS)
def test_observation_reward_and_termination_are_the_environments(environment_id):
    """Exactly, of readings whose poses lag as the environment's do."""
    found = compare(environment_id, lagging)
    assert found.observation < 1e-9 and found.reward < 1e-9 and found.differing == 0, found
    if environment_id in FALLS:
        assert found.terminations >= 1


@pytest.mark.parametrize('environment_id', LAG)
def test_poses_of_the_same_instant_differ_by_little(environment_id):
    """Ours belong to qpos; the environment's to where the last physics step began or passed."""
    found = compare(environment_id, of_one_instant)
    assert found.observation <= LAG[environment_id][0] + 1e-9
    assert 1e-7 < found.reward <= LAG[environment_id][1]


@pytest.mark.parametrize('environment_id', IDS)
def test_our_plant_moves_as_the_environment_does(environment_id):
    """The same model, stepped natively: the same numbers, from an environment's own start."""
    task, environment = task_of(environment_id), make_environment(environment_id)
    model, generator = load_model(task, PhysicsConfig()), np.random.default_rng(1)
    environment.reset(seed=1)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = environment.data.qpos, environment.data.qvel
    mujoco.mj_forward(model, data)
    assert task.control_timestep == pytest.approx(environment.dt)
    assert task.episode_steps == gymnasium.spec(environment_id).max_episode_steps
    for _ in range(10):
        data.ctrl[:] = to_actuators(task, generator.uniform(-1, 1, model.nu))
        environment.step(data.ctrl.copy())
        mujoco.mj_step(model, data, physics_steps_per_control(task, model))
        np.testing.assert_allclose(data.qpos, environment.data.qpos, atol=1e-9)
        np.testing.assert_allclose(data.qvel, environment.data.qvel, atol=1e-9)
    environment.close()


@pytest.mark.parametrize('environment_id', IDS)
def test_starts_are_distributed_as_the_environments(environment_id):
    """Entry by entry, two samples: their bounds, and Kolmogorov and Smirnov's test."""
    task, environment = task_of(environment_id), make_environment(environment_id)
    environment.reset(seed=2)
    theirs = []
    for _ in range(400):
        environment.reset()
        theirs.append(np.concatenate([environment.data.qpos, environment.data.qvel]))
    starts = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(3), 1600))
    ours, theirs = np.concatenate([starts.qpos, starts.qvel], axis=1), np.array(theirs)
    wide = np.ptp(theirs, axis=0)
    for entry in range(ours.shape[1]):
        if wide[entry] == 0:
            np.testing.assert_array_equal(ours[:, entry], np.float32(theirs[0, entry]))
            continue
        normal = kurtosis(theirs[:, entry]) > -0.6
        margin = wide[entry] * (0.5 if normal else 0.05)
        assert theirs[:, entry].min() - margin <= ours[:, entry].min()
        assert ours[:, entry].max() <= theirs[:, entry].max() + margin
        assert ks_2samp(ours[:, entry], theirs[:, entry]).pvalue > 1e-4, entry
    environment.close()


@pytest.mark.parametrize(
    'environment_id', ['HalfCheetah-v5', 'Hopper-v5', 'InvertedDoublePendulum-v5', 'Reacher-v5']
)
def test_returns_are_the_environments_but_for_the_ends(environment_id):
    """R = -sum c + bonus (T - fell) + g(s_T) - g(s_0); g: minus the cost without an action."""
    task, environment = task_of(environment_id), make_environment(environment_id)
    model, generator = load_model(task, PhysicsConfig()), np.random.default_rng(4)
    variables = task.reset(jax.random.key(0)).variables
    environment.reset(seed=4)
    reading, total, costs, ended, steps = lagging(task, model, environment), 0.0, 0.0, False, 0
    none = np.zeros(model.nu)
    with jax.enable_x64(True):
        functions = functions_of(task)
        first = float(functions['cost'](reading, variables, none))
        while not ended and steps < 50:
            action = generator.uniform(-1, 1, model.nu)
            costs += float(functions['cost'](reading, variables, action))
            following = functions['advance'](reading, variables, action)
            _, reward, ended, _, _ = environment.step(to_actuators(task, action))
            reading, variables = lagging(task, model, environment), following
            total, steps = total + reward, steps + 1
        ends = first - float(functions['cost'](reading, variables, none))
    alive = bonus(environment) * (steps - ended)
    assert total == pytest.approx(-costs + alive + ends, abs=1e-8)
    if task.terminal_cost is not None:  # worth as much as being alive for ever
        assert ended
        worth = bonus(environment) / (1 - task.settings['planner.discount'])
        assert float(task.terminal_cost(reading, variables)) == pytest.approx(worth)
    environment.close()


def test_what_is_not_there_is_said_by_name(monkeypatch):
    with pytest.raises(TaskError, match=r"did you mean 'HalfCheetah-v5'"):
        make_task('HalfCheeta-v5')
    with pytest.raises(TaskError, match=r"did you mean 'Hopper-v5'"):
        make_task('Hopper-v4')
    monkeypatch.setitem(sys.modules, 'gymnasium', None)
    with pytest.raises(TaskError, match=r"pip install 'mpq_jax\[gymnasium\]'"):
        make_task('Hopper-v5')


def test_gymnasium_is_imported_by_making_a_task_alone():
    program = (
        'import sys, mpq_jax.suite.gymnasium as ours; assert "gymnasium" not in sys.modules; '
        'ours.make_task("Swimmer-v5"); assert "gymnasium" in sys.modules'
    )
    result = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize('environment_id', IDS)
def test_settings_are_a_config(environment_id):
    register_task(environment_id, lambda: make_task(environment_id))
    try:
        for agent in ('mpq', 'mppi', 'softq', 'none'):
            config = preset(environment_id, agent).validate()
            assert config.planner_model == 'true'
    finally:
        TASKS.pop(environment_id)


def test_half_the_belief_is_heavier_and_longer():
    task = task_of('HalfCheetah-v5')
    true = load_model(task, PhysicsConfig())
    heavy = edited_model(task, true, {'mass_scale': 1.5, 'length_scale': 1.5})
    assert heavy.body_mass.sum() == pytest.approx(1.5 * true.body_mass.sum())
    lowest = [feet(model) for model in (true, heavy)]
    assert lowest[1] == pytest.approx(1.5 * lowest[0], abs=1e-6)


def feet(model):
    """The height of the lowest geom's centre at the initial configuration."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return data.geom_xpos[1:, 2].min()


@pytest.mark.parametrize(
    ('environment_id', 'free'),
    [('HalfCheetah-v5', 1), ('Hopper-v5', 1), ('Walker2d-v5', 1), ('Swimmer-v5', 2)],
)
def test_a_learned_model_sees_neither_how_far_it_has_run_nor_whole_turns(environment_id, free):
    task = task_of(environment_id)
    start = task.reset(jax.random.key(0))
    qpos, qvel = np.asarray(start.qpos), np.asarray(start.qvel)
    seen = task.dynamics_features(qpos, qvel, start.variables)
    assert seen.shape == (2 - free + 2 * (qpos.size - 2) + qvel.size,)
    for i in range(qpos.size):
        moved = qpos.copy()
        moved[i] += 2 * np.pi
        same = np.allclose(task.dynamics_features(moved, qvel, start.variables), seen, atol=1e-5)
        assert same == (i < free or i >= 2)
