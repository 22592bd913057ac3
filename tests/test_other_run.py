"""A run that builds on another: that one's agent, its parameters and models, seed by seed."""

import jax
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config.agents import AGENTS
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning import algorithms
from tests.conftest import tiny_lq_config


def make_copy(config, simulator, other):
    """Acts as the other run does: its planner on its models, with its Q."""
    plays = other.algorithm.play

    def init(numbers, key, models, transition):
        zeros = jax.tree.map(
            lambda x: np.zeros(x.shape, x.dtype), other.algorithm.params(other.shapes)
        )
        return mpq_jax.MemberState(key, models, learner=zeros)

    def bring(state):
        there = other.of_members(len(state.key))
        params = jax.vmap(other.algorithm.params)(there)
        return state._replace(models=there.models, learner=params)

    return mpq_jax.Algorithm(plays, plays, init, lambda state: state.learner, bring=bring)


@pytest.fixture(scope='module', autouse=True)
def copy():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(algorithms, '_MAKERS', dict(algorithms._MAKERS))
        mpq_jax.register_algorithm('copy', make_copy, learns=False, builds_on=True)
        yield
        AGENTS.pop('copy', None)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    config = tiny_lq_config(num_seeds=3, seed=4, episodes=2)
    return mpq_jax.train(config, tmp_path_factory.mktemp('other') / 'trained')


def copy_config(trained, **fields):
    return tiny_lq_config(**({'agent': 'copy', 'from_run': str(trained.path), 'seed': 5} | fields))


def test_each_member_gets_what_its_seed_had(trained, tmp_path):
    programs, saved, _ = load_run(trained.path)
    batch = mpq_jax.Batch(
        copy_config(trained), [{'planner.temperature': 0.1}, {'planner.temperature': 1.0}]
    )
    run = mpq_jax.train(batch, tmp_path / 'copy')
    state = load_run(run.path)[1].state
    theirs = programs.parameters(saved.state, 'last'), saved.state.models
    jax.tree.map(
        lambda ours, other: np.testing.assert_array_equal(ours, other[np.array([1, 2, 1, 2])]),
        (state.learner, state.models), theirs,
    )  # fmt: skip


def test_it_acts_as_that_run(trained, tmp_path):
    run = mpq_jax.train(copy_config(trained, num_seeds=2, episodes=1), tmp_path / 'copy')
    controllers = [mpq_jax.load_controller(path, seed=6) for path in (run.path, trained.path)]
    assert np.array_equal(*(controller.act([0.3], [0.0]) for controller in controllers))


@pytest.mark.parametrize(
    ('fields', 'named'),
    [
        ({'from_run': ''}, "from_run = ''.*directory of a trained run when agent is 'copy'"),
        ({'from_run': 'nowhere'}, 'from_run.*nowhere.*holds no run'),
        ({'task': 'pendulum', 'learner.buffer_capacity': 500}, 'from_run.*pendulum.*lq_task'),
        ({'seed': 6}, r'seed = 7.*\(4, 5, 6\)'),
        ({'agent': 'mppi'}, "from_run.*empty when agent is 'mppi'"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(trained, tmp_path, fields, named):
    with pytest.raises(mpq_jax.ConfigError, match=named):
        mpq_jax.train(copy_config(trained, **fields), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_run_without_a_checkpoint_or_with_variants_will_not_do(tmp_path):
    batch = mpq_jax.Batch(tiny_lq_config(episodes=1, seed=5), [{'planner.temperature': 0.1}])
    run = mpq_jax.train(batch, tmp_path / 'variants')
    with pytest.raises(mpq_jax.ConfigError, match=r'from_run.*without variants'):
        mpq_jax.train(copy_config(run), tmp_path / 'run')
    (tmp_path / 'begun').mkdir()
    (tmp_path / 'begun' / 'config.json').write_text(run.config_file.read_text())
    with pytest.raises(mpq_jax.ConfigError, match=r'from_run.*no checkpoint'):
        mpq_jax.train(copy_config(run, from_run=str(tmp_path / 'begun')), tmp_path / 'run')


def test_what_is_held_beside_it_builds_on_nothing(trained):
    config = copy_config(trained)
    for beside in (mpq_jax.no_control(config), mpq_jax.baseline(config, long=False)):
        assert beside.validate().from_run == ''
