"""An algorithm of one's own, from the README of `learning`: the loop runs it as it runs MPQ."""

import re
from pathlib import Path

import jax
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config.agents import AGENTS
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning import algorithms
from mpq_jax.runs.metrics import read_table
from tests.conftest import tiny_config
from tests.entry_points import ROOT

(CODE,) = re.findall(
    r'```python\n(.*?)```', (Path(ROOT) / 'mpq_jax/learning/README.md').read_text(), re.DOTALL
)


@pytest.fixture(scope='module', autouse=True)
def make_identification():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, '_MAKERS', dict(algorithms._MAKERS))
        names = {}
        exec(compile(CODE, 'learning/README.md', 'exec'), names)
        yield names['make_identification']
        AGENTS.pop('identification', None)


def config_of(episodes, **fields):
    return tiny_config(agent='identification', episodes=episodes, **fields)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    config = config_of(3, **{'training.validation_interval': 3})
    return mpq_jax.train(config, tmp_path_factory.mktemp('own') / 'run')


def errors_of(parameters, transitions):
    """Of one step of the pendulum's equation (semi-implicit, 0.05 s), in NumPy: squared, summed."""
    length, mass = (np.asarray(parameters[name])[:, None] for name in ('length', 'mass'))
    angle, speed = transitions.state.qpos[:, 0], transitions.state.qvel[:, 0]
    torque = 2.0 * transitions.action[:, 0]
    after = speed + 0.05 * (15.0 / length * np.sin(angle) + 3.0 / (mass * length**2) * torque)
    wrong = np.clip(after, -8.0, 8.0) - transitions.next_state.qvel[:, 0]
    return np.square(wrong).sum(axis=1)


def test_a_round_moves_the_models_half_way_to_the_one_that_erred_least(run):
    programs, saved, _ = load_run(run.path)
    state = programs.initial_state()
    models = {name: values[0] for name, values in state.models.items()}  # of the first seed
    for episode, loss in enumerate(read_table(run.metrics_file, 'q_loss')[0]):
        both = {name: state.models[name].at[0].set(values) for name, values in models.items()}
        _, recorded = programs.play('train', state._replace(models=both), (), [episode])
        errors = errors_of(models, jax.device_get(recorded))
        np.testing.assert_allclose(loss, errors.min(), rtol=1e-3)
        best = np.argmin(errors)
        models = {name: p + 0.5 * (p[best] - p) for name, p in models.items()}
    for name, values in models.items():
        np.testing.assert_allclose(saved.state.models[name][0], values, rtol=1e-4)


def test_rows_validation_and_model_steps_are_those_of_any_run(run):
    steps, acting = read_table(run.metrics_file, 'model_steps'), load_run(run.path)[0].workload
    # 200 control steps an episode, and those of one validation episode after the third.
    assert steps[0].tolist() == [n * acting.per_action for n in (200, 400, 800)]
    validated = read_table(run.metrics_file, 'validation_return')
    assert np.isfinite(validated[:, 2]).all() and np.isnan(validated[:, :2]).all()


def test_it_is_resumed_labelled_and_controls(run, tmp_path):
    fields = {'training.validation_interval': 3}
    mpq_jax.train(config_of(1, **fields), tmp_path / 'part')
    resumed = mpq_jax.train(config_of(3, **fields), tmp_path / 'part', resume=True)
    for name in ('return', 'q_loss', 'model_steps'):
        wanted = read_table(run.metrics_file, name)
        assert np.array_equal(read_table(resumed.metrics_file, name), wanted)
    assert mpq_jax.evaluate(run.path, 1)['agent'] == 'identification'
    action = mpq_jax.load_controller(run.path).act([0.1], [0.0])
    assert action.shape == (1,) and np.abs(action).max() <= 1.0


def test_one_that_cannot_be_is_refused_before_anything_runs(make_identification, tmp_path):
    mpq_jax.register_algorithm('unsure', make_identification, learns=False)
    try:
        with pytest.raises(mpq_jax.ConfigError, match=r'agent .*unsure.*update'):
            mpq_jax.train(tiny_config(agent='unsure'), tmp_path / 'run')
    finally:
        AGENTS.pop('unsure')
    assert not (tmp_path / 'run').exists()
    with pytest.raises(mpq_jax.ConfigError, match=r'agent.*guessing.*identification'):
        mpq_jax.preset('pendulum', 'guessing')
