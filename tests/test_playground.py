"""Playground's environments as tasks, against `env.step`; needs the extra `playground`."""

import jax
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator

pytest.importorskip('mujoco_playground')

from experiments.playground_suite import compare
from mpq_jax.suite.playground import make_task, names

# With a goal moved by mocap; with sensors alone; with rotations; on a planar base; sparse.
FIVE = 'ReacherHard', 'FingerSpin', 'CartpoleSwingup', 'HopperHop', 'AcrobotSwingupSparse'


@pytest.mark.parametrize('name', FIVE)
def test_observation_reward_and_step_are_the_environments(name):
    found = compare(name, steps=5)
    assert found['observation'] < 2e-5 and found['reward'] < 2e-5
    assert found['poses'] < 2e-6
    assert found['qpos'] < 2e-3
    assert found['lag'] < 0.5


def test_all_of_the_suite_are_tasks():
    assert len(names()) >= 25
    for name in names():
        task = make_task(name)
        assert task.name == f'playground:{name}' and task.episode_steps == 1000


def test_a_goal_is_seen_where_the_variables_put_it():
    """On MJX: its geom's pose follows, and the observation points there from the finger."""
    task = mpq_jax.load_task('playground:ReacherEasy')
    simulator = make_simulator(task, PhysicsConfig(backend='mjx'))
    start = task.reset(jax.random.key(1))
    state = simulator.state(start)
    reading = jax.jit(simulator.read)(simulator.true_model(), state)
    (goal,) = np.asarray(start.variables)
    arm = 0.12 * np.array([np.cos(start.qpos[0]), np.sin(start.qpos[0])])
    turn = float(start.qpos[0] + start.qpos[1])
    finger = arm + 0.12 * np.array([np.cos(turn), np.sin(turn)])
    shown = np.asarray(task.observe(reading, start.variables))
    np.testing.assert_allclose(shown[2:4], goal[:2] - finger, atol=1e-5)


@pytest.mark.parametrize(
    'name, said',
    [
        ('CartpolSwingup', r"did you mean 'CartpoleSwingup'"),
        ('PandaPickCube', 'belongs to manipulation'),
        ('Go1JoystickFlatTerrain', 'belongs to locomotion'),
    ],
)
def test_what_cannot_be_had_is_said(name, said):
    with pytest.raises(TaskError, match=said):
        mpq_jax.load_task(f'playground:{name}')
