"""An algorithm of somebody's own: the loop runs it as it runs MPQ; it may change the models."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config.agents import AGENTS
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning import algorithms
from mpq_jax.planning.agent import make_agent
from mpq_jax.runs.metrics import read_table
from tests.conftest import tiny_config

HALF_WAY = 0.5  # of the way to what it has seen


def make_identification(config, simulator):
    """MPPI whose belief about the pendulum's mass moves half way to a known 0.7 each round."""
    agent = make_agent(config, simulator, None)

    def update(numbers, state, episode):
        models = jax.tree.map(lambda p: p + HALF_WAY * (0.7 - p), state.models)
        loss = jnp.mean(jnp.square(models['mass'] - 0.7))
        rounds = state.learner + 1
        return (
            state._replace(models=models, learner=rounds),
            mpq_jax.Metrics(loss, jnp.float32(0.7), jnp.float32(0.0)),
        )

    return mpq_jax.Algorithm(
        collect=agent,
        play=agent,
        init=lambda numbers, key, models, _: mpq_jax.MemberState(key, models, jnp.int32(0)),
        store=lambda state, transitions, valid: state,
        update=update,
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    for table in (AGENTS, algorithms._MAKERS):
        for name in list(table):
            monkeypatch.setitem(table, name, table[name])
    mpq_jax.register_algorithm(
        'identification', make_identification, label='MPPI that identifies', round_steps=lambda c: 7
    )
    yield
    for table in (AGENTS, algorithms._MAKERS):
        table.pop('identification', None)


def test_a_learning_round_gives_the_planner_new_models(tmp_path):
    config = tiny_config(agent='identification', episodes=3, **{'training.validation_interval': 3})
    run = mpq_jax.train(config, tmp_path / 'run')
    programs, saved, _ = load_run(run.path)
    drawn = programs.initial_state().models
    for name, start in drawn.items():
        np.testing.assert_allclose(
            saved.state.models[name], 0.7 + HALF_WAY**3 * (start - 0.7), rtol=1e-5
        )
    masses = np.asarray(drawn['mass'])
    expected = [np.mean((HALF_WAY ** (e + 1) * (masses - 0.7)) ** 2, axis=1) for e in range(3)]
    losses = read_table(run.metrics_file, 'q_loss')
    np.testing.assert_allclose(losses, np.transpose(expected), rtol=1e-4)
    assert saved.state.learner.tolist() == [3, 3]
    # What acting takes, and in each round the 7 that it said; in the third a validation too.
    steps = read_table(run.metrics_file, 'model_steps')
    acting = programs.workload.per_action
    assert steps[0].tolist() == [200 * acting + 7, 400 * acting + 14, 800 * acting + 21]
    assert np.isfinite(read_table(run.metrics_file, 'validation_return')[:, 2]).all()


def test_the_new_models_are_those_that_act(tmp_path):
    """Its second episode is that of plain MPPI which believes what the first one taught it."""
    config = tiny_config(agent='identification', episodes=2, **{'training.validation_episodes': 0})
    run = mpq_jax.train(config, tmp_path / 'run')
    programs, _, _ = load_run(run.path)
    fresh = programs.initial_state()
    learned = fresh._replace(models=jax.tree.map(lambda p: p + HALF_WAY * (0.7 - p), fresh.models))
    for models, first in ((fresh, 0), (learned, 1)):
        summary, _ = programs.play('train', models, (), np.array([first]))
        played = np.asarray(summary.episode_return)[:, 0]
        returns = read_table(run.metrics_file, 'return')[:, first]
        np.testing.assert_allclose(played, returns, rtol=1e-4)
    old, _ = programs.play('train', fresh, (), np.array([1]))
    assert not np.allclose(old.episode_return[:, 0], returns, rtol=1e-4)


def test_it_is_resumed_labelled_and_controls(tmp_path):
    whole = mpq_jax.train(tiny_config(agent='identification', episodes=3), tmp_path / 'whole')
    part = tiny_config(agent='identification', episodes=1)
    mpq_jax.train(part, tmp_path / 'part')
    resumed = mpq_jax.train(
        tiny_config(agent='identification', episodes=3), tmp_path / 'part', resume=True
    )
    for name in ('return', 'q_loss', 'model_steps'):
        wanted = read_table(whole.metrics_file, name)
        assert np.array_equal(read_table(resumed.metrics_file, name), wanted)
    assert mpq_jax.evaluate(whole.path, 1)['agent'] == 'identification'
    action = mpq_jax.load_controller(whole.path).act([0.1], [0.0])
    assert action.shape == (1,) and np.abs(action).max() <= 1.0


def test_one_that_cannot_be_is_refused_before_anything_runs(tmp_path):
    mpq_jax.register_algorithm('identification', make_identification, learns=False)
    with pytest.raises(mpq_jax.ConfigError, match=r'agent .*identification.*update'):
        mpq_jax.train(tiny_config(agent='identification'), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
    with pytest.raises(mpq_jax.ConfigError, match=r'agent.*guessing.*identification'):
        mpq_jax.preset('pendulum', 'guessing')
