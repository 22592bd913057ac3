"""MPQ(lambda): against NumPy, its bias by enumeration, its schedules."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.planning.mixing import at_end, at_episode
from mpq_jax.planning.scoring import trajectory_cost
from mpq_jax.runs.metrics import read_rows
from tests.conftest import at, lq_task, tiny_lq_config


def recursion(costs, q_values, share, discount):
    """q_{H-1} = Q_{H-1}; q_t = (1 - lambda) Q_t + lambda (c_t + d q_{t+1})."""
    mixed = q_values[-1]
    for cost, q in zip(costs[::-1], q_values[-2::-1], strict=True):
        mixed = (1 - share) * q + share * (cost + discount * mixed)
    return mixed


def counting_task(costs):
    """The position counts the steps: the cost of step k is the k-th number."""
    table = jnp.asarray(costs, jnp.float32)
    return mpq_jax.Task(
        name='counting',
        episode_steps=10,
        control_timestep=1.0,
        action_size=1,
        reset=lambda key: mpq_jax.Start(jnp.zeros(1), jnp.zeros(1)),
        observe=lambda reading, variables: reading.qpos,
        cost=lambda reading, variables, action: table[reading.qpos[0].astype(int)],
        equations=lambda parameters, qpos, qvel, action: (qpos + 1.0, qvel),
    )


def mixed_cost(costs, q_values, share, discount=0.9, schedule='constant'):
    simulator = make_simulator(counting_task([*costs, 0.0]))
    table = jnp.asarray(q_values, jnp.float32)
    config = PlannerConfig(
        horizon=len(q_values), discount=discount, td_schedule=schedule, td_lambda=share
    )
    return trajectory_cost(
        config, simulator, lambda reading, variables, action: table[reading.qpos[0].astype(int)],
        simulator.true_model(), at(simulator, 0.0, 0.0), jnp.zeros((len(q_values), 1)),
    )  # fmt: skip


@pytest.mark.parametrize(('share', 'expected'), [(0.0, 4.0), (0.5, 4.6375), (1.0, 6.85)])
def test_the_worked_number(share, expected):
    np.testing.assert_allclose(mixed_cost([1, 2], [4, 3, 5], share), expected, rtol=1e-6)


@pytest.mark.parametrize('horizon', [1, 2, 5])
@pytest.mark.parametrize('share', [0.0, 0.3, 0.9, 1.0])
def test_it_is_the_recursion_the_mixture_and_the_sum_of_errors(horizon, share):
    rng = np.random.default_rng(horizon)
    costs, q = rng.normal(size=horizon - 1), rng.normal(size=horizon)
    d = 0.8
    found = mixed_cost(costs, q, share, d)
    np.testing.assert_allclose(found, recursion(costs, q, share, d), rtol=1e-4, atol=1e-6)
    powers = d ** np.arange(horizon)
    each = [powers[:i] @ costs[:i] + powers[i] * q[i] for i in range(horizon)]
    mixture = sum((1 - share) * share**i * each[i] for i in range(horizon - 1))
    np.testing.assert_allclose(found, mixture + share ** (horizon - 1) * each[-1], rtol=1e-4)
    errors = costs + d * q[1:] - q[:-1]
    summed = q[0] + share * (d * share) ** np.arange(horizon - 1) @ errors
    np.testing.assert_allclose(found, summed, rtol=1e-4)


def test_lambda_1_is_mpq_even_where_a_q_on_the_way_is_not_finite():
    costs, q = [1.0, -2.0, 3.0], [np.nan, np.inf, -np.inf, 5.0]
    plain = mixed_cost(costs, q, 1.0, schedule='off')
    np.testing.assert_allclose(mixed_cost(costs, q, 1.0), plain, rtol=1e-6)
    assert not np.isfinite(mixed_cost(costs, q, 0.9))


def test_how_much_each_q_counts():
    """(1 - lambda) (lambda d)^k on the way, (lambda d)^(H-1) at the end."""
    share, d = 0.7, 0.9
    found = jax.grad(lambda q: mixed_cost([1.0, 2.0, 3.0], q, share, d))(jnp.ones(4))
    expected = [*(0.3 * (share * d) ** np.arange(3)), (share * d) ** 3]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_mixture_is_above_the_soft_value_of_a_perfect_model_and_q():
    """Three steps, four actions, soft-consistent Q, discount 1: by enumeration."""
    rng = np.random.default_rng(0)
    beta, costs = 0.5, rng.uniform(0, 2, size=(3, 4))  # of a step and an action

    def free(scores):
        return -beta * np.log(np.mean(np.exp(-np.asarray(scores) / beta)))

    value, q = 0.0, np.zeros((3, 4))
    for k in (2, 1, 0):
        q[k] = costs[k] + value
        value = free(q[k])

    def energy(share):
        plans = itertools.product(range(4), repeat=3)
        return free([
            recursion(
                np.array([costs[k, a] for k, a in enumerate(plan[:2])]),
                np.array([q[k, a] for k, a in enumerate(plan)]), share, 1.0,
            )
            for plan in plans
        ])  # fmt: skip

    np.testing.assert_allclose([energy(0.0), energy(1.0)], value, rtol=1e-9)
    assert all(energy(share) > value + 1e-3 for share in (0.25, 0.5, 0.75))


@pytest.mark.parametrize('schedule', ['linear', 'exponential'])
def test_a_schedule_goes_from_the_first_to_the_last(schedule):
    config = PlannerConfig(
        td_schedule=schedule, td_lambda=0.9, td_lambda_final=0.1, td_episodes=4.0
    )
    found = [float(at_episode(config, e).td_lambda) for e in range(7)]
    inner = np.linspace(0.9, 0.1, 5) if schedule == 'linear' else np.geomspace(0.9, 0.1, 5)
    np.testing.assert_allclose(found, [*inner, 0.1, 0.1], rtol=1e-5)
    assert at_end(config).td_lambda == 0.1
    still = PlannerConfig(td_schedule='constant', td_lambda=0.5)
    assert at_episode(still, 3) is still and at_end(still) is still


def trained(path, own, **fields):
    """Returns and losses of four episodes, on a simulated system or one that steps by itself."""
    config = tiny_lq_config(agent='mpq', episodes=4, num_seeds=1)
    if own:
        config = mpq_jax.set_fields(config, {'real_system': 'own'})
    systems = [SimulatedSystem(make_simulator(lq_task()))] if own else None
    run = mpq_jax.train(mpq_jax.set_fields(config, fields), path, real_systems=systems)
    return [(row['return'], row['q_loss']) for row in read_rows(run.metrics_file)]


@pytest.mark.parametrize('own', [False, True])
def test_runs_go_by_their_schedule(tmp_path, own):
    """A run whose lambda falls from 1 begins as MPQ, and differs from the second episode on."""
    fields = {'planner.horizon': 3, 'planner.td_schedule': 'linear', 'planner.td_episodes': 2.0}
    falling = fields | {'planner.td_lambda': 1.0, 'planner.td_lambda_final': 0.0}
    level = fields | {'planner.td_lambda': 1.0, 'planner.td_lambda_final': 1.0}
    a, b = trained(tmp_path / 'a', own, **falling), trained(tmp_path / 'b', own, **level)
    assert a[0] == b[0] and a[1] != b[1]


@pytest.mark.parametrize(
    ('fields', 'named'),
    [
        ({'td_lambda': 0.5}, "td_lambda = 0.5.*1 while planner.td_schedule is 'off'"),
        ({'td_schedule': 'constant', 'td_lambda': 1.1}, 'td_lambda = 1.1'),
        ({'td_schedule': 'constant', 'td_lambda_final': 0.1}, 'td_lambda_final'),
        ({'td_schedule': 'exponential', 'td_lambda_final': 0.0}, 'td_lambda_final = 0.0'),
        ({'td_schedule': 'cosine'}, 'td_schedule'),
        ({'td_schedule': 'linear', 'td_episodes': 0.0}, 'td_episodes'),
    ],
)
def test_what_is_not_allowed_is_named(fields, named):
    with pytest.raises(ConfigError, match=rf'planner\.{named}'):
        dataclasses.replace(PlannerConfig(), **fields).validate()
