"""Runs of SAC: what acts, how often it learns, and what any run promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.config import Batch
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.environments.stepwise import StepwiseRunner
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning.policies.networks import make_actor_critic
from mpq_jax.learning.policies.sac import Acting, make_sac
from mpq_jax.runs.metrics import read_rows, read_table
from mpq_jax.training.assembly import make_programs
from tests.conftest import tiny_lq_config

FIELDS = {
    'agent': 'sac', 'sac.batch_size': 16, 'sac.hidden_width': 16, 'sac.hidden_layers': 1,
    'sac.random_steps': 15, 'learner.buffer_capacity': 500,
}  # fmt: skip


def config_of(**changes):
    return tiny_lq_config(**(FIELDS | changes))


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Four episodes of ten steps, two seeds; validations after the second and the fourth."""
    config = config_of(**{'training.validation_episodes': 2})
    return mpq_jax.train(config, tmp_path_factory.mktemp('sac') / 'run')


def test_it_learns_from_what_is_new_once_the_random_steps_are_stored(run):
    rows = [row for row in read_rows(run.metrics_file) if row['seed'] == '0']
    assert [row['updates'] for row in rows] == ['0', '10', '10', '10']
    names = 'q_loss', 'policy_loss', 'entropy', 'entropy_temperature'
    assert all(rows[0][name] == '' for name in names)
    assert all(np.isfinite(float(row[name])) for row in rows[1:] for name in names)
    assert all(row['q_restores'] == '0' and row['model_steps'] == '0' for row in rows)


def test_updates_for_each_step_and_rounds_of_several_episodes(tmp_path):
    config = config_of(num_seeds=1, **{'learner.episodes_per_round': 2})
    shares = Batch(config, ({'sac.updates_per_step': 0.23}, {'sac.updates_per_step': 2.0}))
    run = mpq_jax.train(shares, tmp_path / 'run')
    updates = read_table(run.metrics_file, 'updates')
    assert np.isnan(updates[:, [0, 2]]).all()
    assert updates[:, [1, 3]].tolist() == [[5, 5], [40, 40]]  # of 20 steps


def test_actions_are_uniform_at_first_and_the_policys_later():
    config = config_of().validate()
    agents = make_sac(config, make_programs(config).real)
    networks = make_actor_critic(config.sac, 1)
    policy, _ = networks.init(jax.random.key(0), jnp.zeros(1), jnp.zeros(1))
    observation, draws = jnp.array([0.7]), jax.random.split(jax.random.key(1), 4000)

    def actions(agent, at_random):
        acting = Acting(policy, jnp.array(at_random))
        act = jax.jit(jax.vmap(lambda key: agent.policy(acting, observation, key)))
        return np.sort(np.asarray(act(draws))[:, 0])

    uniform, sampled = (actions(agents.collect, when) for when in (True, False))
    levels = (np.arange(4000) + 0.5) / 4000
    assert np.abs(uniform - (2.0 * levels - 1.0)).max() < 0.05  # Kolmogorov's distance
    distribution = networks.policy(policy, observation)
    before = (np.arctanh(sampled) - distribution.mean) / np.exp(distribution.log_std)
    assert np.abs(jax.scipy.stats.norm.cdf(before) - levels).max() < 0.03
    assert np.ptp(actions(agents.play, True)) == 0.0
    np.testing.assert_allclose(actions(agents.play, False)[0], distribution.mode[0], rtol=1e-5)


def test_seeds_and_variants_of_one_batch_are_as_they_would_be_alone():
    variants = {'sac.learning_rate': 1e-3, 'sac.random_steps': 5.0}, {
        'sac.learning_rate': 3e-4, 'sac.random_steps': 30.0,
    }  # fmt: skip
    both = learned(Batch(config_of(), variants))
    for place, variant, seed in ((1, 0, 1), (2, 1, 0)):
        alone = mpq_jax.set_fields(config_of(seed=seed, num_seeds=1), variants[variant])
        for got, want in zip(*(jax.tree.leaves(x) for x in (learned(alone), both)), strict=True):
            np.testing.assert_allclose(got[0], want[place], atol=1e-5)
    assert [int(x) for x in both.learned_steps] == [20] * 4
    policies = jax.tree.leaves(both.trained.policy)
    assert not any(np.allclose(x[0], x[1]) or np.allclose(x[0], x[2]) for x in policies)


def learned(batch):
    """The learner's state after two episodes and rounds."""
    programs = make_programs(Batch.of(batch).validate())
    state = programs.initial_state()
    for episode in range(2):
        state, _ = programs.collect(state, episode)
        state, _ = programs.learn(state, episode)
    return state.learner


def test_step_by_step_agrees_with_the_scan():
    programs = make_programs(config_of(**{'sac.random_steps': 0}).validate())
    state = programs.initial_state()
    planner, models = programs.numbers.planner, state.models
    params = jax.vmap(programs.algorithm.params)(state)
    episode_keys = jax.vmap(lambda key: keys.stream(key, 'train', 0))(state.key)
    runner = StepwiseRunner(planner, programs.algorithm.collect, params, models)
    systems = [SimulatedSystem(programs.real) for _ in range(2)]
    stepwise = runner.run(planner, params, models, systems, episode_keys)
    scanned, _ = programs.collect(state, 0)
    for name in ('observation', 'action', 'cost', 'next_observation'):
        one, other = getattr(stepwise.transitions, name), getattr(scanned.buffer.storage, name)
        np.testing.assert_allclose(one, other[:, :10], rtol=1e-5, atol=1e-5)


def test_a_round_that_left_the_finite_numbers_is_undone_and_counted(tmp_path):
    config = config_of(**{'sac.learning_rate': 1e30, 'training.max_restores': 5})
    run = mpq_jax.train(config, tmp_path / 'run')
    assert read_table(run.metrics_file, 'q_restores').tolist() == [[0, 1, 2, 3]] * 2
    assert np.isnan(read_table(run.metrics_file, 'q_loss')[:, 1:]).all()
    programs, saved, _ = load_run(run.path)
    first = programs.initial_state().learner.trained
    for got, want in zip(*map(jax.tree.leaves, (saved.state.learner.trained, first)), strict=True):
        np.testing.assert_array_equal(got, want)
    with pytest.raises(mpq_jax.RunError, match=r'diverged 1 times.*sac\.learning_rate'):
        config = mpq_jax.set_fields(config, {'training.max_restores': 0})
        mpq_jax.train(config, tmp_path / 'stopped')


@pytest.mark.parametrize('parameters', ['last', 'best'])
def test_a_controller_acts_by_the_mode_of_the_saved_policy(run, parameters):
    controller = mpq_jax.load_controller(run.path, seed=1, parameters=parameters)
    programs, saved, _ = load_run(run.path)
    params = programs.parameters(saved.state, parameters).policy['params']
    layers = [jax.tree.map(lambda x: np.asarray(x[1]), params[f'Dense_{i}']) for i in range(2)]
    for place in (-0.8, 0.3):
        hidden = np.maximum(np.array([place]) @ layers[0]['kernel'] + layers[0]['bias'], 0.0)
        mean = (hidden @ layers[1]['kernel'] + layers[1]['bias'])[0]
        np.testing.assert_allclose(controller.act([place], [0.0]), [np.tanh(mean)], rtol=1e-4)


def test_it_is_evaluated_and_named_without_a_planner(run):
    figures = mpq_jax.evaluate(run.path, 3, parameters='best')
    assert figures['agent'] == 'sac' and figures['parameters'] == 'best'
    assert 'planner' not in make_programs(config_of().validate()).physics


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        ('sac.batch_size', 0), ('sac.updates_per_step', 0.0), ('sac.discount', 1.1),
        ('sac.polyak', 0.0), ('sac.initial_temperature', 0.0), ('sac.reward_scale', float('inf')),
        ('sac.random_steps', -1.0), ('planner_model', 'learned'),
        ('learner.buffer_capacity', 9), ('sac.hidden_width', 0),
    ],
)  # fmt: skip
def test_bad_input_is_refused_before_anything_runs(field, value, tmp_path):
    with pytest.raises(mpq_jax.ConfigError, match=field.replace('.', r'\.')):
        mpq_jax.train(config_of(**{field: value}), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_it_learns_a_linear_quadratic_system(tmp_path):
    """Without control an episode costs 2.2 x0^2; the best gain leaves 0.5 x0^2."""
    fields = {
        'episodes': 60, 'sac.learning_rate': 3e-3, 'sac.discount': 0.9, 'sac.hidden_width': 32,
        'sac.random_steps': 50, 'sac.batch_size': 32, 'training.checkpoint_interval': 0,
    }  # fmt: skip
    run = mpq_jax.train(config_of(**fields), tmp_path / 'run')
    assert read_table(run.metrics_file, 'q_restores').max() == 0
    policy = mpq_jax.evaluate(run.path, 20)['return']['mean']
    nothing = mpq_jax.train(tiny_lq_config(agent='none', episodes=20), tmp_path / 'none')
    assert policy > 0.45 * read_table(nothing.metrics_file, 'return').mean()
