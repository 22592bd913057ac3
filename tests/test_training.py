"""Seeds in a batch, the loop, and that it learns."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.environments.stepwise import StepwiseRunner
from mpq_jax.runs.checkpoint import Checkpointer
from mpq_jax.runs.metrics import COLUMNS, WALL_TIME_COLUMNS, read_rows, read_table
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_config, tiny_lq_config

DRAWS = True


@pytest.fixture(scope='module')
def batch_and_alone():
    """Three seeds in one batch, and the last of them alone: after an episode and a round."""
    results = []
    for first, count in ((0, 3), (2, 1)):
        programs = make_programs(
            tiny_config(**{'seed': first, 'num_seeds': count, 'execution.target_chunk': 64})
        )
        state = programs.initial_state()
        state, _ = programs.collect(state, 0)
        results.append((programs, jax.tree.map(lambda x: x[-1:], state)))
    return results


def test_a_seed_in_a_batch_acts_as_it_does_alone(batch_and_alone):
    (_, batch), (_, alone) = batch_and_alone
    assert (jax.random.key_data(batch.key) == jax.random.key_data(alone.key)).all()
    for got, want in zip(jax.tree.leaves(alone.models), jax.tree.leaves(batch.models), strict=True):
        np.testing.assert_array_equal(got, want)
    for name in ('action', 'cost', 'observation'):
        got, want = (getattr(s.buffer.storage, name)[0, :20] for s in (alone, batch))
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


def test_a_seed_in_a_batch_learns_as_it_does_alone(batch_and_alone):
    (in_batch, state), (alone, _) = batch_and_alone
    copied = jax.tree.map(lambda x: jnp.concatenate([x, x, x]), state)
    learned_in_batch, _ = in_batch.learn(copied, 0)
    learned_alone, _ = alone.learn(jax.tree.map(jnp.copy, state), 0)
    params = (s.learner.params for s in (learned_alone, learned_in_batch))
    before = jax.tree.leaves(state.learner.params)
    for got, want, old in zip(*map(jax.tree.leaves, params), before, strict=True):
        np.testing.assert_allclose(got[0], want[1], atol=1e-5)
        assert not np.allclose(got, old)


def test_step_by_step_agrees_with_the_scan():
    programs = make_programs(tiny_config())
    state = programs.initial_state()
    planner, params, models = programs.numbers.planner, state.learner.params, state.models
    episode_keys = jax.vmap(lambda key: keys.stream(key, 'train', 0))(state.key)
    runner = StepwiseRunner(planner, programs.agent, params, models)
    systems = [SimulatedSystem(programs.real) for _ in range(2)]
    stepwise = runner.run(planner, params, models, systems, episode_keys)
    scanned, _ = programs.collect(state, 0)
    assert stepwise.valid.all()
    for name in ('observation', 'action', 'cost', 'next_observation'):
        one, other = getattr(stepwise.transitions, name), getattr(scanned.buffer.storage, name)
        np.testing.assert_allclose(one[:, :20], other[:, :20], rtol=1e-4, atol=1e-4)


def test_a_simulated_system_wants_a_reset_first(equations_pendulum):
    with pytest.raises(RuntimeError, match='reset'):
        SimulatedSystem(equations_pendulum).step(np.zeros(1))


def without_wall_time(run):
    rows = read_rows(run.metrics_file)
    return [{k: v for k, v in row.items() if k not in WALL_TIME_COLUMNS} for row in rows]


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    return mpq_jax.train(tiny_config(), tmp_path_factory.mktemp('run') / 'first')


def test_a_run_directory_holds_what_it_should(trained):
    with open(trained.metrics_file, newline='') as file:
        assert tuple(next(csv.reader(file))) == COLUMNS
    returns = read_table(trained.metrics_file, 'return')
    assert returns.shape == (2, 4) and (returns < 0).all()
    steps = read_table(trained.metrics_file, 'env_steps')
    np.testing.assert_array_equal(steps, [[200, 400, 600, 800]] * 2)
    validation = read_table(trained.metrics_file, 'validation_env_steps')
    np.testing.assert_array_equal(validation, [[0, 200, 200, 400]] * 2)
    # Acting: steps x N x (H - 1); a round: states x N x (H - 1); validations act as well.
    acting, a_round = 200 * 12 * 2, 64 * 12 * 2
    expected = np.cumsum([acting + a_round, 2 * acting + a_round] * 2)
    np.testing.assert_array_equal(read_table(trained.metrics_file, 'model_steps'), [expected] * 2)
    assert all(row['success'] == '' for row in read_rows(trained.metrics_file))
    manifest = json.loads(trained.manifest_file.read_text())
    assert {'versions', 'device', 'matmul_precision', 'command', 'git_revision'} <= set(manifest)
    assert (trained.path / 'episode.png').stat().st_size > 5000
    assert list(trained.events.iterdir())


def test_the_same_command_gives_the_same_numbers(trained, tmp_path):
    again = mpq_jax.train(tiny_config(), tmp_path / 'again')
    assert without_wall_time(again) == without_wall_time(trained)


def test_nothing_is_traced_again_after_the_first_episodes(tmp_path):
    """A cost that counts its traces: as many after two episodes as after six."""
    counts = []

    def train(episodes):
        traces = []

        def cost(reading, variables, action):
            traces.append(1)
            return reading.qpos[0] ** 2

        mpq_jax.register_task('counting', lambda: lq_task(name='counting', cost=cost))
        config = tiny_lq_config(task='counting', episodes=episodes, num_seeds=1)
        mpq_jax.train(config, tmp_path / str(episodes))
        counts.append(len(traces))

    train(2)
    train(6)
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize('agent', ['mppi', 'softq'])
def test_the_other_agents_run(agent, tmp_path):
    run = mpq_jax.train(tiny_config(agent=agent, episodes=3), tmp_path / agent)
    rows = read_rows(run.metrics_file)
    assert [int(row['episode']) for row in rows] == [0, 0, 1, 1, 2, 2]
    assert all((row['q_loss'] == '') is (agent == 'mppi') for row in rows)
    assert (np.isfinite(read_table(run.metrics_file, 'return'))).all()


def test_models_can_change_every_episode(tmp_path):
    config = tiny_config(**{'belief.redraw': 'episode', 'belief.bank_size': 8, 'episodes': 1})
    programs = make_programs(config)
    state = programs.initial_state()
    assert {leaf.shape for leaf in jax.tree.leaves(state.models)} == {(2, 8)}
    _, summary = programs.collect(state, 0)
    assert np.isfinite(summary.episode_return).all()


def test_evaluation_tests_on_starts_of_its_own(trained):
    result = mpq_jax.evaluate(trained.path, episodes=3)
    assert json.loads(trained.evaluation_file.read_text()) == result
    episodes = [result['return']['per_seed'][seed]['episodes'] for seed in ('0', '1')]
    assert np.shape(episodes) == (2, 3)
    assert np.isclose(result['return']['mean'], np.mean(episodes), rtol=1e-4)
    assert result['return']['low'] is result['return']['high'] is None  # two seeds
    assert result['success'] is None
    starts = {purpose: float(make_start(purpose)) for purpose in ('train', 'validation', 'test')}
    assert len(set(starts.values())) == 3


def make_start(purpose):
    key = keys.stream(keys.seed_keys([0])[0], purpose, 0)
    return jax.random.uniform(key)


def test_a_trained_run_can_be_asked_for_actions(trained, tmp_path):
    controller = mpq_jax.load_controller(trained.path, seed=1)
    first = controller.act([3.0], [0.0])
    assert first.shape == (1,) and abs(first[0]) <= 1.0
    second = controller.act([3.0], [0.0])
    controller.reset()
    np.testing.assert_array_equal(controller.act([3.0], [0.0]), first)
    assert not np.array_equal(first, second)  # it goes on from its plan
    with pytest.raises(mpq_jax.ConfigError, match='qpos'):
        controller.act([3.0, 1.0], [0.0])


def test_checkpoint_holds_everything_that_shapes_the_future(trained):
    programs = make_programs(tiny_config())
    checkpointer = Checkpointer(trained.checkpoints)
    saved, problems = checkpointer.restore(programs.state_shapes(), tiny_config())
    checkpointer.close()
    assert problems == [] and saved.episode == 4
    names = {type(x).__name__ for x in (saved.state.buffer, saved.state.learner)}
    assert names == {'ReplayBuffer', 'LearnerState'}
    assert saved.state.buffer.size.tolist() == [500, 500]
    assert saved.counters['env_steps'] == [800, 800]
    state = programs.initial_state()
    np.testing.assert_array_equal(
        jax.random.key_data(saved.state.key), jax.random.key_data(state.key)
    )


def test_mpq_learns_to_swing_up_on_the_hand_written_pendulum(tmp_path):
    """H = 8 alone seldom gets up (about -1000 an episode); with Q it does within ten episodes."""
    config = mpq_jax.set_fields(
        mpq_jax.preset('pendulum', 'mpq'),
        {
            'planner_physics.backend': 'equations',
            'real_physics.backend': 'equations',
            'num_seeds': 3,
            'episodes': 14,
            'training.validation_episodes': 0,
            'training.checkpoint_interval': 100,
        },
    )
    run = mpq_jax.train(config, tmp_path / 'run')
    returns = read_table(run.metrics_file, 'return')
    assert returns[:, 9:].mean() > -350


def test_a_long_block_of_episodes_is_cut_into_programs_of_seconds():
    """So that what is done is written and shown; a single long episode stays whole."""
    short = make_programs(tiny_config(agent='mppi', episodes=100, **{'planner.horizon': 2}))
    assert short.episodes_at_once(100) == 100
    long = make_programs(tiny_config(agent='mppi', **{'planner.horizon': 200}))
    steps = 2 * 200 * 12 * 199  # members x control steps x samples x model steps
    assert 1 <= long.episodes_at_once(100) <= 4_000_000 // steps
    longest = make_programs(tiny_config(agent='mppi', **{'planner.horizon': 5000}))
    assert longest.episodes_at_once(100) == 1
