"""The agent that does nothing: zero actions, no planning, through every way of running it."""

import jax
import numpy as np
import pytest

import mpq_jax
from mpq_jax import keys
from mpq_jax.assembly import make_programs
from mpq_jax.episode import episode_keys
from mpq_jax.metrics import read_table
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid, product
from mpq_jax.tasks.pendulum import reset
from tests.conftest import tiny_config
from tests.test_command_line import run as run_command


def undriven_return(seed, episode, steps=200):
    """Gymnasium's pendulum without torque, in NumPy."""
    start_key, _ = episode_keys(keys.stream(keys.seed_keys([seed])[0], 'train', episode))
    start = jax.jit(reset)(start_key)
    angle, speed, total = float(start.qpos[0]), float(start.qvel[0]), 0.0
    for _ in range(steps):
        wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
        total += wrapped**2 + 0.1 * speed**2
        speed = np.clip(speed + 0.05 * 15.0 * np.sin(angle), -8.0, 8.0)
        angle += 0.05 * speed
    return -total


@pytest.mark.parametrize('real_system', ['simulated', 'mujoco'])
def test_the_pendulum_swings_as_it_does_by_itself(tmp_path, real_system):
    config = tiny_config(agent='none', real_system=real_system, episodes=3, seed=7)
    run = mpq_jax.train(config, tmp_path / 'run')
    expected = [[undriven_return(seed, episode) for episode in range(3)] for seed in (7, 8)]
    np.testing.assert_allclose(read_table(run.metrics_file, 'return'), expected, rtol=2e-2)
    assert not read_table(run.metrics_file, 'model_steps').any()


def test_it_starts_where_the_others_start_and_its_actions_are_zero():
    recorded = {}
    for agent in ('none', 'mppi'):
        programs = make_programs(tiny_config(agent=agent))
        _, transitions = programs.play('train', programs.initial_state(), (), [2])
        recorded[agent] = jax.tree.map(np.asarray, transitions)
    assert not recorded['none'].action.any() and recorded['mppi'].action.any()
    np.testing.assert_array_equal(recorded['none'].state.qpos[0], recorded['mppi'].state.qpos[0])


def test_it_can_be_swept_and_evaluated(tmp_path):
    fixed = {
        'task': 'pendulum', 'num_seeds': 2, 'episodes': 2, 'real_physics.backend': 'equations',
        'planner_physics.backend': 'equations',
    }  # fmt: skip
    directory = run_sweep(
        Grid.of(fixed, product({'agent': ['none', 'mppi'], 'planner.horizon': [1]})),
        tmp_path / 'sweep',
    )
    result = mpq_jax.evaluate(directory.path / 'cells' / 'agent=none,planner.horizon=1', 2)
    assert result['agent'] == 'none' and result['parameters'] is None


def test_the_command_line_knows_it(tmp_path):
    flags = ['--agent=none', '--num_seeds=2', '--episodes=2', f'--run_dir={tmp_path / "run"}']
    result = run_command('train', *flags, '--set=real_physics.backend=equations')
    assert result.returncode == 0, result.stderr
    assert 'no control' in result.stdout
