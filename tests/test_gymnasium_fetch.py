"""The planner's model of FetchPush against Gymnasium-Robotics' own, where that is installed."""

import sys

import jax
import mujoco
import numpy as np
import pytest

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.environments.registry import system_maker
from mpq_jax.suite.fetch_push import RESTING_HEIGHT
from mpq_jax.tasks import load_task

pytest.importorskip('gymnasium_robotics')

EPISODES, STEPS, SECOND = 6, 60, 25


@pytest.fixture(scope='module')
def task():
    return load_task('fetch_push')


@pytest.fixture(scope='module')
def system(task):
    return system_maker('gymnasium').make(task, PhysicsConfig(), 1)[0]


def pushing(qpos, goal, noise):
    """An action `[4]` that brings the gripper behind the block and then towards the goal."""
    gripper, block = qpos[:2].astype(float), qpos[3:5].astype(float)
    way = (goal[:2] - block) / np.linalg.norm(goal[:2] - block)
    side, relative = np.array([-way[1], way[0]]), gripper - block
    if relative @ way > -0.045 and abs(relative @ side) < 0.07:  # round the block
        target = block + (np.sign(relative @ side) or 1.0) * 0.09 * side - 0.07 * way
    elif abs(relative @ side) > 0.02 or relative @ way > -0.04:
        target = block - 0.07 * way
    else:
        target = block + 0.05 * way
    steering = 0.7 * np.clip((target - gripper) / 0.05, -1.0, 1.0)
    return np.clip([*(steering + noise[:2]), 0.5 * noise[2], 0.0], -1.0, 1.0).astype(np.float32)


@pytest.fixture(scope='module')
def recorded(system):
    """States `[E, T + 1, ...]` and actions `[E, T, 4]` of noisy pushes in the environment."""
    random, episodes = np.random.default_rng(0), []
    for episode in range(EPISODES):
        now = system.reset(jax.random.key(episode))
        states, actions, noise = [now.state], [], np.zeros(3)
        for t in range(STEPS):
            noise = random.normal(size=3) * 0.4 if t % 5 == 0 else noise
            actions.append(pushing(now.state.qpos, now.state.variables, noise))
            now = system.step(actions[-1])
            states.append(now.state)
        qpos, qvel = (np.array([getattr(s, n) for s in states]) for n in ('qpos', 'qvel'))
        episodes.append((qpos, qvel, np.array(actions)))
    return tuple(np.array(x) for x in zip(*episodes, strict=True))


def predicted(task, model, qpos, qvel, actions):
    """The task's model on from a state: qpos `[T, 10]` after each action."""
    data, after = mujoco.MjData(model), []
    data.qpos[:], data.qvel[:] = qpos, qvel
    for action in actions:
        data.ctrl[:] = task.control(data.qpos, data.qvel, action)
        mujoco.mj_step(model, data, round(task.control_timestep / model.opt.timestep))
        after.append(data.qpos.copy())
    return np.array(after)


def test_observation_starts_with_the_environments_own(task, system):
    measured = system.reset(jax.random.key(5))
    for action in ([0.5, -1.0, 0.3, 1.0], [1.0, 0.2, 0.0, -1.0]):
        measured = system.step(np.array(action))
        ours = np.asarray(task.observe(measured.reading, measured.state.variables))
        theirs = system.environment.environment._get_obs()
        fingers = np.isin(np.arange(25), (9, 10, 23, 24))
        expected = np.where(fingers, 0.0, theirs['observation'])
        np.testing.assert_allclose(ours[:25], expected, atol=1e-5)
        assert not theirs['observation'][9:11].any()  # blocked
        np.testing.assert_allclose(measured.state.variables, theirs['desired_goal'], rtol=1e-6)


def test_starts_follow_the_key_and_the_tasks_ranges(system):
    starts = [system.reset(jax.random.key(seed)).state for seed in (1, 1, 2)]
    np.testing.assert_array_equal(starts[0].qpos, starts[1].qpos)
    assert (starts[0].qpos[3:5] != starts[2].qpos[3:5]).all()
    for start in starts:
        assert np.abs(start.qpos[3:5] - start.qpos[:2]).max() < 0.1505
        assert np.linalg.norm(start.qpos[3:5] - start.qpos[:2]) > 0.0995
        assert abs(start.qpos[5] - RESTING_HEIGHT) < 1e-3
        assert abs(start.variables[2] - RESTING_HEIGHT) < 1e-3


@pytest.mark.parametrize('timestep', [0.002, 0.01])
def test_the_gripper_alone_moves_as_the_environments(task, recorded, timestep):
    """A control step away from block and table: to half a millimetre in the median, 2 at most."""
    model = load_model(task, PhysicsConfig(timestep=timestep))
    qpos, qvel, actions = recorded
    errors = []
    for e, t in np.ndindex(EPISODES, STEPS):
        away = np.abs(qpos[e, t, 3:5] - qpos[e, t, :2]).max() > 0.09
        above = min(qpos[e, t, 2], qpos[e, t + 1, 2]) > 0.425
        if away and above and t > 0:  # the environment starts with a moving arm
            ours = predicted(task, model, qpos[e, t], qvel[e, t], actions[e, t : t + 1])
            errors.append(np.linalg.norm(ours[0, :3] - qpos[e, t + 1, :3]))
    assert len(errors) > 10
    assert np.median(errors) < 5e-4 and max(errors) < 2e-3


def test_pushes_end_where_the_environments_do(task, recorded):
    """A second of pushing, on the table: the block's place to 2.5 cm in the median."""
    model = load_model(task, PhysicsConfig(timestep=0.002))
    qpos, qvel, actions = recorded
    errors, ways = [], []
    for e, t in np.ndindex(EPISODES, STEPS - SECOND):
        span = qpos[e, t : t + SECOND + 1]
        way = np.linalg.norm(span[-1, 3:5] - span[0, 3:5])
        if t % 5 == 0 and way > 0.03 and span[:, 0].max() < 1.545:  # the table ends at 1.55
            ours = predicted(task, model, qpos[e, t], qvel[e, t], actions[e, t : t + SECOND])
            errors.append(np.linalg.norm(ours[-1, 3:5] - span[-1, 3:5]))
            ways.append(way)
    assert len(errors) > 10 and np.median(errors) < 0.025 < np.median(ways) / 2


def test_another_task_has_no_environment_there():
    with pytest.raises(ConfigError, match=r"the task 'pendulum' has no environment of its own"):
        system_maker('gymnasium').check(load_task('pendulum'), PhysicsConfig())


def test_the_stock_environment_asks_for_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gymnasium_robotics', None)
    with pytest.raises(
        ConfigError, match=r"real_system = 'gymnasium'.*pip install 'mpq_jax\[fetch\]'"
    ):
        system_maker('gymnasium').check(load_task('fetch_push'), PhysicsConfig())
