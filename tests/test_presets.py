"""Presets of every agent and task, held against tables written out by hand."""

import re
from pathlib import Path

import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.planning import noise
from mpq_jax.sweep.grid import Grid, parse_sweeps, product
from tests.conftest import lq_task

ROOT = Path(__file__).parent.parent

# Table 3 of the paper (full version), and the long horizons of its figures:
# task: H, N, Sigma, lambda, alpha, gamma, target iterations, training episodes, long H
TABLE_3 = {
    'pendulum': (8, 24, 4.0, 0.15, 0.5, 0.9, 3, 700, 32),
    'ball_in_cup': (4, 36, 4.0, 0.15, 0.55, 0.9, 3, 350, 48),
    'fetch_push': (10, 36, 3.0, 0.01, 0.5, 0.9, 3, 160, 64),
    'franka_drawer': (10, 36, 4.0, 0.05, 0.55, 0.9, 1, 200, 64),
}


@pytest.mark.parametrize('agent', ['mpq', 'mppi', 'softq'])
@pytest.mark.parametrize('task', TABLE_3)
def test_the_paper_preset_is_table_3(task, agent):
    config = mpq_jax.preset(task, agent, 'paper')
    planner, learner = config.planner, config.learner
    horizon, *expected, long_horizon = TABLE_3[task]
    row = (
        planner.num_samples, planner.noise_variance, planner.temperature, planner.step_size,
        planner.discount, learner.target_iterations, config.episodes,
    )  # fmt: skip
    assert planner.horizon == (1 if agent == 'softq' else horizon)
    assert list(row) == expected
    assert mpq_jax.load_task(task).long_horizon == long_horizon
    assert (planner.iterations, planner.control_discount) == (1, 1.0)  # section 4.2, Eq. 23
    assert planner.noise == 'white'
    assert (planner.pooling, config.belief.redraw, config.belief.num_draws) == ('pooled', 'run', 12)
    # A guess, for the schedule is undisclosed; targets are made afresh for each minibatch.
    assert learner.mode == 'per_minibatch'
    assert (learner.num_minibatches, learner.minibatch_size) == (100, 64)
    # Adam 1e-3, two layers of 100; only SoftQ has a target network.
    assert (learner.learning_rate, learner.hidden_width, learner.hidden_layers) == (1e-3, 100, 2)
    assert learner.target_network is (agent == 'softq')


@pytest.mark.parametrize('task', TABLE_3)
def test_softq_has_mpqs_budget(task):
    """States and gradient steps a round, over both presets."""
    for name in ('default', 'paper', 'paper_learning'):
        ours, softq = (mpq_jax.preset(task, agent, name).learner for agent in ('mpq', 'softq'))
        for field in ('mode', 'num_states', 'epochs', 'num_minibatches', 'minibatch_size',
                      'target_iterations', 'learning_rate', 'episodes_per_round'):  # fmt: skip
            assert getattr(softq, field) == getattr(ours, field), (name, field)
    learner = mpq_jax.preset(task, 'softq').learner
    assert learner.num_states * learner.epochs // learner.minibatch_size == 400


@pytest.mark.parametrize('task', TABLE_3)
def test_paper_learning_changes_how_q_learns_and_nothing_else(task):
    ours = mpq_jax.preset(task, 'softq')
    theirs = mpq_jax.preset(task, 'softq', 'paper_learning')
    changed = mpq_jax.config.overrides.differences(theirs, ours)
    assert 'learner.mode' in changed
    assert {name.partition('.')[0] for name in changed} == {'learner'}


@pytest.mark.parametrize('task', TABLE_3)
def test_every_preset_is_valid_and_says_on_which_seeds_it_was_chosen(task):
    for agent in ('mpq', 'mppi', 'softq', 'none'):
        for name in ('default', 'paper', 'paper_learning'):
            mpq_jax.preset(task, agent, name).validate()
    assert 'seeds 0 to' in mpq_jax.load_task(task).settings_chosen_on


def test_a_baseline_learns_nothing_whatever_the_run_learns_from():
    config = mpq_jax.set_fields(mpq_jax.preset('ball_in_cup'), {'q_data': 'dr'})
    for baseline in (
        mpq_jax.baseline(config, long=False),
        mpq_jax.baseline(config, long=True),
        mpq_jax.no_control(config),
    ):
        assert baseline.validate().q_data == 'real'


def test_validation_takes_a_tenth_of_real_interaction_at_most():
    config = mpq_jax.preset('pendulum')
    for real_system in ('mujoco', 'gymnasium', 'own'):
        for episodes in (1, 4, 7):
            fields = {'real_system': real_system, 'training.validation_episodes': episodes}
            driven = mpq_jax.set_fields(config, fields).validate()
            interval = driven.validation_interval
            assert episodes / (episodes + interval) <= 0.1
            with pytest.raises(ConfigError, match=r'validation_interval = 8 is not.*at least'):
                mpq_jax.set_fields(driven, {'training.validation_interval': 8}).validate()
    assert config.validation_interval == 10


@pytest.mark.parametrize('agent', ['none', 'softq'])
def test_agents_of_one_action_have_no_knots(agent):
    """A task whose settings plan on knots has them, and its run a row of no control."""
    knots = {'planner.noise': 'knots', 'planner.knots': 3}
    mpq_jax.register_task('knotted', lambda: lq_task(settings=knots))
    config = mpq_jax.preset('knotted', agent).validate()
    assert (config.planner.horizon, config.planner.noise) == (1, 'white')
    planned = mpq_jax.preset('knotted', 'mppi').validate()
    assert planned.planner.noise == 'knots'
    assert mpq_jax.no_control(planned).validate().planner.noise == 'white'


def test_what_plans_on_the_pendulum_acts_with_knots():
    """MPQ and its baselines alike; not targets, the paper's preset, plans of one action."""
    config = mpq_jax.preset('pendulum')
    knotted = [config, mpq_jax.preset('pendulum', 'mppi')]
    knotted += [mpq_jax.baseline(config, long=long) for long in (False, True)]
    for each in knotted:
        assert (each.validate().planner.noise, noise.size(each.planner)) == ('knots', 2)
        assert each.planner.target_noise == 'white'
    agents = ('mpq', 'mppi', 'softq', 'none')
    white = [mpq_jax.preset('pendulum', agent, 'paper') for agent in agents]
    white += [mpq_jax.baseline(white[0], long=long) for long in (False, True)]
    white += [mpq_jax.preset('pendulum', agent) for agent in ('softq', 'none')]
    white += [mpq_jax.no_control(config)]
    white += [mpq_jax.preset(task) for task in TABLE_3 if task != 'pendulum']
    assert {each.validate().planner.noise for each in white} == {'white'}


def test_the_readmes_sweep_over_horizons_is_valid():
    """At H = 1 and 2 there is a knot at every control, which is white noise."""
    (command,) = re.findall(r'^mpq sweep (.*) --run_dir', (ROOT / 'README.md').read_text(), re.M)
    flags = dict(flag.removeprefix('--').split('=', 1) for flag in command.split() if '=' in flag)
    horizons = command.partition('--sweep planner.horizon=')[2].split()[0]
    grid = Grid.of(
        {'task': flags['task'], 'agent': flags['agent']},
        product(parse_sweeps([f'planner.horizon={horizons}'])),
    )
    planners = [cell.config.planner for cell in grid.cells()]
    assert {planner.noise for planner in planners} == {'knots'}
    sizes = [(planner.horizon, noise.size(planner)) for planner in planners]
    assert sizes == [(1, 1), (2, 2), (4, 2), (8, 2), (16, 2)]
