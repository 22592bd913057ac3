"""Augmented random search against NumPy, and what a run of it promises."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.config import ARSConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.episode import episode_keys, example_transition
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning.algorithm import Numbers
from mpq_jax.learning.policies import ars
from mpq_jax.report import write_report
from mpq_jax.runs.metrics import read_rows, read_table
from tests.conftest import LQ, broken_task, lq_task, tiny_lq_config

DIRECTIONS = 3
ARS = {
    'agent': 'ars', 'ars.directions': DIRECTIONS, 'ars.top_directions': 2,
    'learner.episodes_per_round': 2 * DIRECTIONS, 'episodes': 4 * DIRECTIONS,
    'training.validation_interval': 2 * DIRECTIONS, 'training.validation_episodes': 1,
}  # fmt: skip


def ars_config(**fields):
    return tiny_lq_config(**(ARS | fields))


def numpy_step(pairs, directions, settings):
    """The step of Mania et al.: of the best directions, over the deviation of their returns."""
    kept = np.isfinite(pairs).all(axis=1)
    pairs, directions = pairs[kept], directions[kept]
    best = np.argsort(-pairs.max(axis=1), kind='stable')[: settings.top_directions]
    differences = pairs[best, 0] - pairs[best, 1]
    moved = np.tensordot(differences, directions[best], axes=1)
    return settings.step_size / (len(best) * pairs[best].std()) * moved


def lq_episode(weight, mean, deviation, start):
    """Return, and the observations of the ten steps."""
    total, seen, position = 0.0, [], start
    for _ in range(10):
        action = np.clip(weight * (position - mean) / deviation, -1.0, 1.0)
        seen.append(position)
        total -= 0.5 * LQ['q'] * position**2 + 0.5 * LQ['r'] * action**2
        position = LQ['A'] * position + LQ['B'] * action
    return total, seen


def numpy_ars(seed, settings, iterations):
    """Returns of all episodes, the weight, and the moments of what was seen."""
    key = jax.random.key(seed)
    weight, mean, deviation, returns, seen = 0.0, 0.0, 1.0, [], []
    for iteration in range(iterations):
        directions, of_iteration = [], []
        for number in range(settings.directions):
            drawn = keys.stream(key, 'learn', iteration, number)
            directions.append(np.asarray(jax.random.normal(drawn, (1, 1))))
            for sign in (1, -1):
                episode = len(returns) + len(of_iteration)
                start_key, _ = episode_keys(keys.stream(key, 'train', episode))
                start = float(lq_task().reset(start_key).qpos[0])
                tried = weight + sign * settings.noise * directions[-1].item()
                total, here = lq_episode(tried, mean, deviation, start)
                of_iteration.append(total)
                seen += here
        pairs = np.array(of_iteration).reshape(-1, 2)
        weight += numpy_step(pairs, np.array(directions), settings).item()
        mean, deviation = np.mean(seen), np.sqrt(max(np.var(seen), settings.variance_floor))
        returns += of_iteration
    return returns, weight, mean, deviation


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """Two seeds and two variants in one batch."""
    variants = [{'ars.noise': 0.3, 'ars.step_size': 0.2}, {'ars.noise': 0.6, 'ars.step_size': 0.5}]
    batch = mpq_jax.Batch(ars_config(), tuple(variants))
    return mpq_jax.train(batch, tmp_path_factory.mktemp('ars') / 'run')


def test_a_run_is_the_search_in_numpy(run):
    programs, saved, _ = load_run(run.path)
    policy, returns = saved.state.learner.policy, read_table(run.metrics_file, 'return')
    losses, updates = (read_table(run.metrics_file, name) for name in ('policy_loss', 'updates'))
    for row, member in enumerate(programs.members):
        expected, *learned = numpy_ars(member.seed, member.ars, 2)
        np.testing.assert_allclose(returns[row], expected, rtol=1e-4)
        found = [x[row].item() for x in (policy.weights, policy.mean, policy.deviation)]
        np.testing.assert_allclose(found, learned, rtol=1e-3, atol=1e-6)
        pairs = np.reshape(expected, (2, DIRECTIONS, 2))
        best = [p[np.argsort(-p.max(axis=1))[:2]].mean() for p in pairs]
        np.testing.assert_allclose(losses[row, 5::6], np.negative(best), rtol=1e-4)
    assert (updates[:, 5::6] == 2).all() and np.isnan(updates[:, :5]).all()


def test_validation_plays_the_policy_alone_and_all_of_a_run_is_there(run):
    _, saved, _ = load_run(run.path)
    policy = saved.state.learner.policy
    start_key, _ = episode_keys(keys.stream(jax.random.key(0), 'validation', 0))
    start = float(lq_task().reset(start_key).qpos[0])
    last = [x[0].item() for x in (policy.weights, policy.mean, policy.deviation)]
    validated = read_table(run.metrics_file, 'validation_return')[0, -1]
    np.testing.assert_allclose(validated, lq_episode(*last, start)[0], rtol=1e-4)
    controller = mpq_jax.load_controller(run.path)
    wanted = np.clip(last[0] * (0.4 - last[1]) / last[2], -1.0, 1.0)
    np.testing.assert_allclose(controller.act([0.4], [0.0]), [wanted], rtol=1e-5)
    assert len(mpq_jax.evaluate(run.path, 2)['variants']) == 2
    assert (run.path / 'episode.png').exists()
    page = write_report(run.path).read_text()
    assert 'ARS' in page and 'loss of the policy' in page


def member(observations=2, actions=2, **fields):
    """A member's state before its first episode."""
    config = ARSConfig(**({'directions': 4, 'top_directions': 3} | fields))
    example = example_transition(make_simulator(lq_task()))
    transition = example._replace(observation=jnp.zeros(observations))
    numbers = Numbers(*(None,) * len(Numbers._fields))._replace(ars=config)
    return numbers, ars._init(actions, numbers, jax.random.key(3), (), transition)


def after_a_round(pairs, **fields):
    """States before and after an update on these returns, the directions, the metrics."""
    numbers, state = member(directions=len(pairs), **fields)
    own = state.learner._replace(returns=jnp.ravel(jnp.array(pairs, jnp.float32)))
    state = state._replace(learner=own)
    directions = [ars.direction(state.key, own, i) for i in range(len(pairs))]
    after, metrics = ars._update(numbers, state, jnp.int32(0))
    moved = after.learner.policy.weights - own.policy.weights
    return moved, np.array(directions), after.learner, metrics


@pytest.mark.parametrize('lost', [[], [1], [0, 2]])
def test_a_pair_with_a_return_that_is_not_finite_counts_nothing(lost):
    pairs = np.random.default_rng(0).normal(size=(4, 2))
    for place in lost:
        pairs[place, place % 2] = np.nan
    moved, directions, own, metrics = after_a_round(pairs)
    expected = numpy_step(pairs, directions, ARSConfig(top_directions=3))
    np.testing.assert_allclose(moved, expected, rtol=1e-4)
    assert metrics.columns['updates'] == min(3, 4 - len(lost))
    assert metrics.nonfinite_targets == len(lost) / 4
    assert np.isnan(own.returns).all() and own.episodes == 0 and own.iteration == 1


@pytest.mark.parametrize(
    ('pairs', 'fields'),
    [
        (np.full((4, 2), np.inf), {}),
        (np.eye(4, 2), {'step_size': 3e38, 'top_directions': 1}),
        (np.ones((4, 2)), {}),
    ],
)
def test_no_step_where_nothing_counts_or_differs_or_numbers_run_out(pairs, fields):
    moved, _, own, metrics = after_a_round(pairs, **fields)
    assert not moved.any() and own.iteration == 1
    undone = not (pairs == 1.0).all()
    assert np.isnan(metrics.columns['policy_loss']) == undone


def test_moments_are_those_of_all_valid_observations():
    rng = np.random.default_rng(1)
    seen, moments = [], member()[1].learner.seen
    for length in (5, 0, 3):
        observations = rng.normal(3.0, 2.0, size=(6, 2))
        valid = np.arange(6) < length
        seen.append(observations[valid])
        observations[~valid] = np.nan
        moments = ars.joined(moments, jnp.array(observations), jnp.array(valid))
    whole = np.concatenate(seen)
    np.testing.assert_allclose(moments.mean, whole.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(moments.squares / moments.total, whole.var(axis=0), rtol=1e-5)
    same = ars.joined(moments, jnp.full((6, 2), 3e30), jnp.ones(6, bool))
    jax.tree.map(np.testing.assert_array_equal, same, moments)


def test_rewards_are_clipped_and_an_episode_that_broke_off_is_none():
    config = dataclasses.replace(ARSConfig(), reward_clip=1.0)
    example = example_transition(make_simulator(lq_task()))
    costs = jnp.array([-3.0, 0.5, 2.0, 7.0])
    ended = jnp.array([False, False, True, False])
    found = functools.partial(ars._return, config, 4)
    whole = example._replace(cost=costs, terminated=ended & False)
    assert found(whole, jnp.arange(4) < 4) == 1.0 - 0.5 - 1.0 - 1.0
    assert np.isnan(found(whole, jnp.arange(4) < 3))
    terminal = whole._replace(terminated=ended, next_terminal_cost=jnp.full(4, 10.0))
    assert found(terminal, jnp.arange(4) < 3) == 1.0 - 0.5 - 1.0 - 10.0


def test_seeds_that_take_no_step_are_told(tmp_path):
    config = ars_config(task='tests.conftest:broken_task', episodes=2 * DIRECTIONS)
    assert broken_task().name == 'broken'
    with pytest.raises(mpq_jax.NothingLearnedError, match='no control step'):
        mpq_jax.train(config, tmp_path / 'run')
    rows = read_rows(tmp_path / 'run' / 'metrics.csv')
    assert {row['return'] for row in rows} == {'nan'}


def test_step_by_step_it_is_the_same(tmp_path):
    config = ars_config(**{'training.validation_episodes': 0})
    simulated = mpq_jax.train(config, tmp_path / 'simulated')
    own = mpq_jax.set_fields(config, {'real_system': 'own'})
    systems = [SimulatedSystem(make_simulator(lq_task())) for _ in range(2)]
    driven = mpq_jax.train(own, tmp_path / 'own', real_systems=systems)
    for name in ('return', 'policy_loss'):
        ours, theirs = (read_table(r.metrics_file, name) for r in (driven, simulated))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.parametrize(
    ('fields', 'named'),
    [
        ({'learner.episodes_per_round': 4}, r'episodes_per_round = 4 .*6 when agent is .ars.'),
        ({'ars.top_directions': 4}, r'ars\.top_directions = 4 .*at most 3'),
        ({'ars.noise': 0.0}, r'ars\.noise = 0\.0'),
        ({'planner_model': 'learned'}, r'planner_model.*ars'),
    ],
)
def test_what_is_not_allowed_is_named(fields, named, tmp_path):
    with pytest.raises(mpq_jax.ConfigError, match=named):
        mpq_jax.train(ars_config(**fields), tmp_path / 'run')
