"""The agent that does nothing: zero actions, no planning, through every way of running it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.comparison import baselines as comparison
from mpq_jax.environments.episode import SUCCESSES, episode_keys
from mpq_jax.report.tables import evaluations
from mpq_jax.runs.metrics import read_table
from mpq_jax.suite.pendulum import reset
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid, product
from mpq_jax.tasks import Start
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_config, tiny_lq_config
from tests.entry_points import run as run_command


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


def half_solved_task():
    """Starts on either side of 0; the right half succeeds by itself, and whoever pushes right."""
    return lq_task(
        name='half solved',
        reset=lambda key: Start(jax.random.uniform(key, (1,), minval=-1.0), jnp.zeros(1)),
        equations=lambda p, qpos, qvel, action: (qpos + 0.0 * action, qvel + action),
        success=lambda reading, variables: (reading.qpos[0] > 0) | (reading.qvel[0] > 1.0),
        cost=lambda reading, variables, action: (action[0] - 1.0) ** 2 + 0 * reading.qpos[0],
    )


def test_what_succeeds_by_itself_is_told_apart(tmp_path):
    config = tiny_lq_config(
        task='tests.test_no_control:half_solved_task', agent='mppi', num_seeds=5,
        episodes=1, **{'planner.temperature': 0.01},
    )  # fmt: skip
    run = mpq_jax.train(config, tmp_path / 'run')
    result = mpq_jax.evaluate(run.path, 20)
    starts = [
        [
            float(jax.random.uniform(episode_keys(keys.stream(key, 'test', e))[0], (), minval=-1))
            for e in range(20)
        ]
        for key in keys.seed_keys(range(5))
    ]
    by_itself = np.array(starts) > 0
    idle = [each['episodes'] for each in result['no_control']['success']['per_seed'].values()]
    np.testing.assert_array_equal(idle, by_itself)
    assert result['no_control']['success']['mean'] == pytest.approx(by_itself.mean())
    assert result['success']['mean'] == 1.0
    rest = result['not_by_itself']
    assert rest['mean'] == 1.0 and 0.9 < rest['low'] < rest['high'] <= 1.0
    counted = [sum(x is not None for x in s['episodes']) for s in rest['per_seed'].values()]
    np.testing.assert_array_equal(counted, (~by_itself).sum(axis=1))
    assert result['env_steps'] == 2 * 5 * 20 * 10


def test_a_run_with_successes_is_held_against_no_control_unasked(tmp_path):
    """In the closing table, its figure and the report, evaluated or not."""
    run_dir = tmp_path / 'run'
    sizes = {'planner.horizon': 2, 'planner.num_samples': 4, 'belief.num_draws': 1}
    flags = ['--agent=mppi', '--num_seeds=5', '--episodes=2', f'--run_dir={run_dir}']
    flags += [f'--set={name}={value}' for name, value in sizes.items()]
    result = run_command('train', '--task=tests.test_no_control:half_solved_task', *flags)
    assert result.returncode == 0, result.stderr
    assert '│ no control' in result.stdout and 'better' in result.stdout
    mpq_jax.evaluate(run_dir, 3)
    problems: list[str] = []
    table = evaluations({'MPPI H=2': run_dir}, problems)
    assert not problems
    assert [row[0] for row in table.rows if row[2] == 'all 5'] == [
        'MPPI H=2', 'MPPI H=2, no control'
    ]  # fmt: skip
    assert 'success where no control fails' in table.columns


@pytest.mark.parametrize(
    ('paid', 'verdict'), [((9.0, 900.0), 'better'), ((9.0, np.nan), 'not better')]
)
def test_an_environments_own_return_is_what_no_control_is_held_against(paid, verdict):
    """Where not to have fallen yet is success, nothing else tells a fall from a whole episode."""

    def entry(label, own_return, no_control):
        columns = {name: np.ones((2, 4)) for name in (*SUCCESSES, 'env_steps', 'model_steps')}
        columns['own_return'] = np.full((2, 4), own_return)
        return comparison.Entry(label, [0, 1], columns, no_control)

    entries = [entry('no control', paid[0], True), entry('MPQ H=5', paid[1], False)]
    table = comparison._table('pendulum', entries, SUCCESSES)
    judged = table.columns[-1]
    assert judged.header == ('own return ' if verdict == 'better' else '') + 'against no control'
    assert list(judged.cells) == ['', verdict]


def test_real_systems_of_ones_own_are_not_driven_for_it():
    config = tiny_lq_config(task='tests.test_no_control:half_solved_task', real_system='own')
    assert comparison.baselines(config) == {}
