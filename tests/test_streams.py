"""Which starts an episode has: every purpose its own, told apart by what an episode costs."""

import jax
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.environments.episode import episode_keys
from mpq_jax.runs.metrics import read_table
from mpq_jax.tasks import Start
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_lq_config

SEEDS = (3, 4)


def marked_start(key) -> Start:
    """A start whose variables tell its key."""
    mark = jax.random.uniform(key)
    return Start(jax.numpy.zeros(1), jax.numpy.zeros(1), mark)


def marked_task():
    """An episode of ten steps costs ten times its start's mark, whatever is done."""
    return lq_task(
        name='marked',
        reset=marked_start,
        cost=lambda reading, mark, action: mark + 0 * action[0],
        settings_chosen_on='seed 0, tuning starts',
    )


def cost_of(stream, seed, episode):
    start_key, _ = episode_keys(keys.stream(keys.seed_keys([seed])[0], stream, episode))
    return 10.0 * float(marked_start(start_key).variables)


@pytest.mark.parametrize(
    ('agent', 'starts'),
    [('mpq', 'reports'), ('mpq', 'tuning'), ('mppi', 'reports'), ('none', 'tuning')],
)
def test_training_validation_and_test_episodes_start_from_streams_of_their_own(
    tmp_path, starts, agent
):
    prefix = '' if starts == 'reports' else 'tuning_'
    config = tiny_lq_config(
        task='tests.test_streams:marked_task', agent=agent, starts=starts, seed=3, episodes=4,
        **{'training.validation_episodes': 2, 'planner.horizon': 2},
    )  # fmt: skip
    run = mpq_jax.train(config, tmp_path / 'run')
    assert run.read_manifest()['settings_chosen_on'] == 'seed 0, tuning starts'
    returns = read_table(run.metrics_file, 'return')
    expected = [[-cost_of(f'{prefix}train', seed, e) for e in range(4)] for seed in SEEDS]
    np.testing.assert_allclose(returns, expected, rtol=1e-5)
    validated = read_table(run.metrics_file, 'validation_return')
    if agent == 'mpq':
        own = [[cost_of(f'{prefix}validation', seed, e) for e in range(2)] for seed in SEEDS]
        np.testing.assert_allclose(validated[:, 3], -np.mean(own, axis=1), rtol=1e-5)
        counted = read_table(run.metrics_file, 'validation_env_steps')
        np.testing.assert_array_equal(counted, [[0, 20, 20, 40]] * 2)
    else:
        assert np.isnan(validated).all()
    result = mpq_jax.evaluate(run.path, 3)
    for seed in SEEDS:
        played = result['return']['per_seed'][str(seed)]['episodes']
        own = [-cost_of(f'{prefix}test', seed, episode) for episode in range(3)]
        np.testing.assert_allclose(played, own, atol=1e-4)
    assert (result['starts'], result['env_steps']) == (starts, 60)


def test_no_stream_is_another():
    key = keys.seed_keys([0])[0]
    streams = [
        jax.random.key_data(keys.stream(key, name, episode)).tobytes()
        for name in keys.STREAMS
        for episode in range(20)
    ]
    assert len(set(streams)) == len(streams)


def test_a_redrawn_system_has_keys_of_its_own():
    """The draw of a control step is not a key that the plan of that step may have used."""
    key = jax.random.key(5)
    _, plan_key = episode_keys(key)
    plans, plants = set(), set()
    for t in range(20):
        step_key = jax.random.fold_in(plan_key, t)
        plans |= {jax.random.key_data(k).tobytes() for k in jax.random.split(step_key, 32)}
        plans.add(jax.random.key_data(step_key).tobytes())
        plants.add(jax.random.key_data(keys.plant_key(key, t)).tobytes())
    assert len(plants) == 20 and not plants & plans


def test_a_redrawn_system_is_drawn_with_these_keys(tmp_path):
    """A system whose speed is its parameter, redrawn every step, the last reading included."""
    config = tiny_lq_config(
        task='tests.test_streams:drifting_task', q_data='dr', dr_bank_size=5, num_seeds=1, seed=3
    )
    programs = make_programs(config)
    state, _ = programs.collect(programs.initial_state(), 0)
    stored = jax.tree.map(lambda x: np.asarray(x[0]), state.buffer.storage)
    speeds = stored.next_state.qpos[:10, 0] - stored.state.qpos[:10, 0]
    bank = np.asarray(jax.tree.leaves(programs.plants)[0])[0].ravel()
    key = keys.stream(keys.seed_keys([3])[0], 'train', 0)
    picks = [int(jax.random.randint(keys.plant_key(key, t), (), 0, 5)) for t in range(10)]
    np.testing.assert_allclose(speeds, bank[picks], rtol=1e-5)
    assert len(set(picks)) > 1


def drifting_task():
    return lq_task(
        name='drifting',
        equations=lambda p, qpos, qvel, action: (qpos + p['speed'], qvel),
        parameters=(mpq_jax.RandomizedParameter('speed', 1.0, 0.5, 2.0),),
    )
