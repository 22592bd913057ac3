"""A policy fitted to a planner: against least squares, and against the planner itself."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import keys
from mpq_jax.config import DistilConfig
from mpq_jax.environments.episode import episode_keys
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning.policies import fitting, tanh_policy
from mpq_jax.runs.metrics import read_table
from tests.conftest import tiny_lq_config

CONFIG = DistilConfig(hidden_layers=0, epochs=200, batch_size=128)
NETWORK = tanh_policy.TanhNetwork(2, hidden_layers=0)


def noisy_line(rows=512):
    """Observations far from the origin, and labels so small that tanh is nearly straight."""
    random = np.random.default_rng(0)
    observations = random.normal([5.0, -2.0, 0.0], [3.0, 0.1, 1.0], (rows, 3))
    line = (observations - [5.0, -2.0, 0.0]) @ random.normal(0.0, 0.005, (3, 2)) + 0.03
    labels = line + random.normal(0.0, 0.005, line.shape)
    return observations.astype(np.float32), labels.astype(np.float32)


def fitted(observations, labels, size, config=CONFIG, rates=(1e-3,)):
    """After a round at each learning rate."""
    fit = fitting.begin(tanh_policy.fresh(NETWORK, 3, jax.random.key(1)))
    examples = fitting.Examples(jnp.array(observations), jnp.array(labels), jnp.int32(size))
    a_round = jax.jit(lambda config, *x: fitting.fit(config, NETWORK, *x))
    for rate in rates:
        config = dataclasses.replace(config, learning_rate=rate)
        fit, loss, updates = a_round(config, fit, examples, jax.random.key(2))
    return fit, loss, updates


def test_a_linear_policy_is_the_line_of_least_squares():
    observations, labels = noisy_line()
    fit, loss, updates = fitted(observations, labels, len(labels), rates=(1e-2, 1e-3, 1e-4))
    inputs = np.column_stack([observations, np.ones(len(labels))]).astype(float)
    line = inputs @ np.linalg.lstsq(inputs, labels.astype(float), rcond=None)[0]
    actions = tanh_policy.respond(NETWORK, fit.policy, observations)
    np.testing.assert_allclose(actions, line, atol=1e-3)
    least = np.mean((line - labels) ** 2)
    assert np.mean((actions - labels) ** 2) < 1.01 * least
    assert updates == 200 * 4 and 0.9 * least < loss < 1.1 * least
    np.testing.assert_allclose(fit.policy.mean, observations.mean(axis=0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(fit.policy.scale, observations.std(axis=0), rtol=1e-3)


def test_rows_without_a_label_and_rows_that_are_not_stored_are_not_looked_at():
    observations, labels = noisy_line(64)
    config = DistilConfig(hidden_layers=0, epochs=20, batch_size=16)
    labels[::4] = np.nan
    results = []
    for rubbish in (0.0, 1e6, np.nan):
        observations[40:], labels[40:] = rubbish, rubbish
        results.append(fitted(observations, labels, 40, config))
        assert np.isfinite(results[-1][1])
    for other in results[1:]:
        jax.tree.map(np.testing.assert_array_equal, results[0], other)


@pytest.fixture(scope='module')
def planner(tmp_path_factory):
    config = tiny_lq_config(num_seeds=2, seed=4, episodes=2, **{'learner.hidden_width': 4})
    return mpq_jax.train(config, tmp_path_factory.mktemp('distillation') / 'planner')


def distilled_config(planner, **fields):
    own = {
        'agent': 'distilled', 'from_run': str(planner.path), 'seed': 4, 'episodes': 4,
        'distil.expert_episodes': 2, 'distil.hidden_width': 8, 'distil.epochs': 5,
        'learner.buffer_capacity': 60,
    }  # fmt: skip
    return tiny_lq_config(**(own | fields))


@pytest.fixture(scope='module')
def distilled(planner):
    config = distilled_config(planner, **{'training.validation_episodes': 2})
    return mpq_jax.train(config, planner.path / 'distilled')


def test_the_first_episodes_are_the_planners_own(planner, distilled):
    programs, saved, _ = load_run(planner.path)
    params = programs.parameters(saved.state, 'last')
    summary, _ = programs.play('train', saved.state, params, np.arange(4))
    ours = read_table(distilled.metrics_file, 'return')
    theirs = read_table_precision(summary.episode_return)
    np.testing.assert_array_equal(ours[:, :2], theirs[:, :2])
    assert (ours[:, 2:] != theirs[:, 2:]).all()  # the policy acts
    assert np.isnan(read_table(distilled.metrics_file, 'random_actions')).all()


def read_table_precision(values):
    """As rows of metrics.csv have float32."""
    return np.vectorize(lambda x: float(f'{x:.9g}'))(np.asarray(values, float))


def test_labels_are_what_the_planner_does_from_the_states_that_were_visited(planner, distilled):
    programs, of_planner, _ = load_run(planner.path)
    state = load_run(distilled.path)[1].state
    agent, config = programs.agent, programs.config.planner
    act = jax.jit(lambda *x: agent.act(config, *x))
    for row, seed in enumerate((4, 5)):
        params, models = jax.tree.map(
            lambda x, row=row: x[row],
            (programs.parameters(of_planner.state, 'last'), of_planner.state.models),
        )
        buffer = jax.tree.map(lambda x, row=row: x[row], state.buffer)
        assert buffer.size == 40
        for episode in (1, 3):  # the planner's, the policy's
            key = keys.stream(jax.random.key(seed), 'train', episode)
            plan, plan_key = agent.first_plan(config), episode_keys(key)[1]
            for t in range(10):
                here = jax.tree.map(lambda x, i=10 * episode + t: x[i], buffer.storage)
                step_key = jax.random.fold_in(plan_key, t)
                wanted, plan, _ = act(params, models, here.state, plan, step_key)
                np.testing.assert_allclose(here.next_plan, wanted, atol=1e-6)
                assert (here.action == here.next_plan).all() == (episode == 1)


def test_model_steps_are_those_of_the_planner_alone(distilled):
    """Four samples of two actions; the policy's validation episodes are not planned."""
    steps, env_steps, validation = (
        read_table(distilled.metrics_file, name)
        for name in ('model_steps', 'env_steps', 'validation_env_steps')
    )
    assert validation[:, -1].tolist() == [40, 40]
    np.testing.assert_array_equal(steps, 4 * env_steps)


def test_what_the_planner_did_before_can_be_there_from_the_start(planner, tmp_path):
    config = distilled_config(planner, episodes=1, **{'distil.from_buffer': True})
    run = mpq_jax.train(config, tmp_path / 'run')
    ours, theirs = (load_run(path)[1].state.buffer for path in (run.path, planner.path))
    assert ours.size.tolist() == [30, 30] and theirs.size.tolist() == [20, 20]
    for name in ('observation', 'action'):
        np.testing.assert_array_equal(
            getattr(ours.storage, name)[:, :20], getattr(theirs.storage, name)[:, :20]
        )
    np.testing.assert_array_equal(ours.storage.next_plan[:, :20], theirs.storage.action[:, :20])


def test_a_label_is_missing_where_the_planner_has_no_finite_plan(distilled):
    programs, saved, _ = load_run(distilled.path)
    algorithm, config = programs.algorithm, programs.config.planner
    state = jax.tree.map(lambda x: x[0], saved.state)
    here = jax.tree.map(lambda x: x[0], state.buffer.storage.state)
    params = algorithm.params(state)
    broken = params._replace(expert=jax.tree.map(lambda x: x * jnp.nan, params.expert))
    plan = algorithm.collect.first_plan(config)
    act = jax.jit(lambda *x: algorithm.collect.act(config, *x))
    for given, known in ((params, True), (broken, False)):
        action, (_, label), _ = act(given, state.models, here, plan, jax.random.key(0))
        assert np.isfinite(action).all() and np.isfinite(label).all() == known
