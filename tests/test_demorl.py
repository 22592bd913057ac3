"""Runs of DeMoRL and its kin: end to end, small and seeded."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import set_fields
from mpq_jax.config.agents import AGENTS
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning.policies import arithmetic, sac
from mpq_jax.learning.policies.demorl import rollout_steps
from mpq_jax.learning.policies.networks import make_actor_critic
from mpq_jax.learning.policies.sac_step import Experience, gradient_step
from mpq_jax.runs.metrics import WALL_TIME_COLUMNS, read_rows, read_table
from mpq_jax.suite.presets import _AGENTS
from mpq_jax.training.assembly import make_programs
from tests.conftest import tiny_lq_config

SMALL = {
    'planner_physics.backend': 'auto',
    'planner.num_samples': 4,
    'planner.elite_fraction': 0.5,
    'learner.buffer_capacity': 100,
    'dynamics.members': 2,
    'dynamics.hidden_width': 8,
    'dynamics.hidden_layers': 1,
    'dynamics.epochs': 2,
    'dynamics.batch_size': 8,
    'sac.hidden_width': 8,
    'sac.hidden_layers': 1,
    'sac.batch_size': 16,
    'sac.updates_per_step': 0.5,
    'demorl.starts': 4,
    'demorl.generations': 2,
    'demorl.retained_rounds': 2,
    'training.validation_episodes': 0,
}
SLOW = pytest.mark.slow
ONLINE = {'dynamics.particles': 2, 'planner.iterations': 2, 'demorl.policy_rollouts': 2}


def config_of(agent, episodes=3, **fields):
    plain = set_fields(tiny_lq_config(agent='mpq', episodes=episodes), {'num_seeds': 2})
    config = set_fields(plain, {'agent': agent, **_AGENTS[agent]})
    return set_fields(config, {**SMALL, **(ONLINE if agent == 'demorl_online' else {}), **fields})


def rows_of(run):
    return [
        {k: v for k, v in row.items() if k not in WALL_TIME_COLUMNS}
        for row in read_rows(run.metrics_file)
    ]


def test_a_run_learns_models_and_a_policy(tmp_path):
    run = mpq_jax.train(config_of('demorl', episodes=2), tmp_path / 'run')
    names = 'updates', 'policy_loss', 'model_loss', 'model_transitions', 'model_share'
    table = {name: read_table(run.metrics_file, name) for name in names}
    np.testing.assert_array_equal(table['updates'], 5.0)  # ten steps an episode
    assert np.isfinite(table['policy_loss']).all() and np.isfinite(table['model_loss']).all()
    # Generations, starts, steps.
    np.testing.assert_array_equal(table['model_transitions'], 2 * 4 * 5)
    np.testing.assert_allclose(table['model_share'], 0.95, rtol=1e-5)
    action = mpq_jax.load_controller(run.path).act(np.array([0.3]), np.zeros(1))
    assert action.shape == (1,) and np.abs(action).max() <= 1.0


@SLOW
@pytest.mark.parametrize('agent', ['demorl', 'demorl_online'])
def test_a_run_goes_on_as_if_it_had_never_stopped(tmp_path, agent):
    whole = mpq_jax.train(config_of(agent), tmp_path / 'whole')
    parts = mpq_jax.train(config_of(agent, episodes=2), tmp_path / 'parts')
    mpq_jax.train(config_of(agent), parts.path, resume=True)
    assert rows_of(parts) == rows_of(whole)
    states = (load_run(run.path)[1].state for run in (whole, parts))
    jax.tree.map(np.testing.assert_array_equal, *(jax.tree.leaves(s.learner) for s in states))
    assert np.isfinite(mpq_jax.evaluate(whole.path, 2)['return']['mean'])


def test_presets_are_valid_as_they_come():
    for agent, kind in AGENTS.items():
        config = mpq_jax.preset('pendulum', agent)
        set_fields(config, {'from_run': 'runs/other' * kind.builds_on}).validate()
    none = {'planner.iterations': 0}
    set_fields(mpq_jax.preset('pendulum', 'demorl'), none).validate()
    with pytest.raises(mpq_jax.ConfigError, match=r'planner\.iterations = 0'):
        set_fields(mpq_jax.preset('pendulum', 'mpq'), none).validate()


@SLOW
def test_shares_and_step_sizes_are_one_batch(tmp_path):
    """MBPO and DeMoRL differ in a number; the share of real data is another."""
    steps = [{'planner.step_size': 0.0}, {'planner.step_size': 1.0}]
    batch = mpq_jax.Batch(config_of('demorl', **{'num_seeds': 1}), tuple(steps))
    run = mpq_jax.train(batch, tmp_path / 'both')
    loss = read_table(run.metrics_file, 'policy_loss')
    assert loss.shape == (2, 3) and (loss[0] != loss[1]).all()
    bare = mpq_jax.train(config_of('mbpo', **{'num_seeds': 1}), tmp_path / 'mbpo')
    np.testing.assert_allclose(read_table(bare.metrics_file, 'policy_loss')[0], loss[0], rtol=1e-4)


@SLOW
def test_a_round_that_diverges_is_put_back_and_counted(tmp_path, capsys, monkeypatch):
    steps = sac.gradient_steps

    def broken(*args):
        found, total = steps(*args)
        return jax.tree.map(lambda x: jnp.full_like(x, jnp.nan) if x.ndim else x, found), total

    monkeypatch.setattr(sac, 'gradient_steps', broken)
    run = mpq_jax.train(config_of('demorl', episodes=2, num_seeds=1), tmp_path / 'run')
    assert [row['policy_restores'] for row in read_rows(run.metrics_file)] == ['1', '2']
    _, saved, _ = load_run(run.path)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(saved.state.learner.sac.trained))


def test_arithmetic_is_foretold_as_the_compiler_counts_it(capsys, tmp_path):
    """Of a gradient step, by XLA; and said before a run."""
    config = config_of('demorl', episodes=4, num_seeds=1, **{'sac.hidden_width': 64})
    programs = make_programs(config)
    shapes = programs.state_shapes()
    one = jax.tree.map(lambda x: jnp.zeros(x.shape[1:], x.dtype), shapes.learner.sac.trained)
    batch = Experience(*(jnp.zeros((16, 1)) for _ in range(2)), jnp.zeros(16), jnp.zeros((16, 1)),
                       jnp.zeros(16, bool))  # fmt: skip
    step = functools.partial(gradient_step, config.sac, make_actor_critic(config.sac, 1))
    compiled = jax.jit(step).lower(one, batch, jax.random.key(0)).compile()
    counted = compiled.cost_analysis()['flops']
    no_model = set_fields(config, {'demorl.starts': 0, 'dynamics.epochs': 0})
    foretold = arithmetic.of_demorl(no_model, shapes, 10) / (4 * 10 * 0.5)
    assert 0.7 < foretold / counted < 1.3
    rollouts = arithmetic.of_demorl(set_fields(config, {'dynamics.epochs': 0}), shapes, 10)
    network = jax.tree.leaves(shapes.dynamics.fits.member.params)
    parameters = sum(int(np.prod(x.shape[2:])) for x in network)
    steps = 4 * rollout_steps(config)
    assert rollouts - foretold * 20 > 2 * parameters * steps  # and what Q takes at plans' ends
    assert re.search(
        r'operations of networks if all episodes are whole, .* h at \d+ G/s',
        programs.hours_foretold(),
    )


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        (
            {'planner_model': 'biased'},
            "planner_model = 'biased' is not allowed: it must be 'learned' or 'residual'",
        ),
        ({'planner.noise': 'knots'}, "planner.noise = 'knots' is not allowed: it must be 'white'"),
        (
            {'demorl.starts': 5},
            'demorl.starts = 5 is not allowed: it must be a multiple of the 2 networks',
        ),
        ({'demorl.length_last': 9.0}, 'demorl.length_last = 9.0'),
        ({'demorl.policy_rollouts': 5}, 'demorl.policy_rollouts = 5'),
    ],
)
def test_what_does_not_fit_is_refused_by_name(tmp_path, fields, said):
    agent = 'demorl_online' if 'demorl.policy_rollouts' in fields else 'demorl'
    with pytest.raises(mpq_jax.ConfigError, match=re.escape(said)):
        mpq_jax.train(config_of(agent, **fields), tmp_path / 'run')
