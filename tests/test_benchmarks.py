"""The benchmarks run, and count what they say they count. Nothing here is timed."""

import csv
import json

import jax
import jax.numpy as jnp
import numpy as np

import mpq_jax
from mpq_jax.benchmarks import floors, references
from mpq_jax.benchmarks.contenders import planner_models, planner_simulator, start_states
from mpq_jax.benchmarks.measure import take_turns
from mpq_jax.dynamics import rollout
from mpq_jax.learning import learner
from mpq_jax.learning.q_function import make_network
from mpq_jax.planning import scoring
from mpq_jax.planning.agent import Agent
from mpq_jax.suite.pendulum import wrap
from tests.entry_points import run

DRAWS = True


def test_benchmark_mppi_writes_what_it_measured(tmp_path):
    path = tmp_path / 'out' / 'result.json'
    result = run(
        'benchmark_mppi', '--num_samples=24', '--horizons=4', '--num_states=2', '--agents=mpq',
        '--latency_horizons=2', '--backends=equations,mujoco', f'--json={path}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert '…' not in result.stdout  # no table was cut to fit
    record = json.loads(path.read_text())
    assert 'model_steps/s = states x samples' in record['definition']
    names = {row['contender'] for row in record['rows']}
    assert {'mpq equations', 'mpq mujoco', 'native mujoco.rollout', 'roofline'} <= names
    for row in record['rows']:
        assert np.isclose(row['model_steps_per_s'] * row['median_s'], 2 * 24 * 3)
        assert row['p10_s'] <= row['median_s'] <= row['p90_s']
    with open(path.with_suffix('.csv'), newline='') as file:
        assert len(list(csv.DictReader(file))) == len(record['rows'])
    assert path.with_suffix('.png').stat().st_size > 5000


def test_benchmark_training_breaks_a_run_into_parts(tmp_path):
    path = tmp_path / 'result.json'
    result = run(
        'benchmark_training', '--num_seeds=1', '--repeats=1', '--overhead_episodes=2',
        '--set=planner_physics.backend=equations', '--set=real_physics.backend=equations',
        f'--json={path}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    measured = json.loads(path.read_text())['seeds']['1']
    names = {row['part'] for row in measured['parts']}
    assert {'acting', 'target generation', 'network updates', 'logging', 'transfer'} <= names
    assert {'acting', 'network updates', 'learning round'} == set(measured['floor_shares'])
    assert 0 < measured['overhead']['run_s'] <= measured['overhead']['loop_s']


def test_bad_input_is_named():
    for flags, message in (
        (['--repeats=3'], 'repeats = 3 is not allowed: it must be at least 20'),
        (['--horizons=8,x'], '--horizons'),
        (['--agents=softq'], "agents = 'softq'"),
        (['--tasks=pendulun'], "did you mean 'pendulum'"),
    ):
        result = run('benchmark_mppi', *flags)
        assert result.returncode == 2 and message in result.stderr


def test_contenders_take_turns():
    calls = []
    timings = take_turns({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, 3)
    assert calls == ['a', 'a', 'b', 'b'] * 4
    assert len(timings['a'].seconds) == 3


def test_the_roofline_does_the_pendulums_arithmetic():
    """One step costs what its start costs, whatever the noise."""
    costs = references.roofline(5, 1)(jnp.float32(1.0), jnp.float32(2.0), jax.random.key(0))
    np.testing.assert_allclose(costs, wrap(1.0) ** 2 + 0.1 * 4.0, rtol=1e-6)


def test_adam_by_hand_is_the_learners():
    """One minibatch of all states, ten steps: the same weights but for rounding."""
    config = mpq_jax.set_fields(
        mpq_jax.preset('pendulum', 'mpq'),
        {'learner.num_states': 16, 'learner.minibatch_size': 16, 'learner.epochs': 10},
    )
    agent = Agent(planner_simulator('pendulum', 'equations'), make_network(config), None)
    keys = jax.random.split(jax.random.key(0), 3)
    observation, target = jax.random.normal(keys[0], (16, 3)), jax.random.normal(keys[1], (16,))
    examples = learner.Examples(observation, observation[:, :1], target)
    before = learner.init(config.learner, agent, observation[0], keys[2])
    after, _ = learner.fit(config.learner, agent, before, examples, keys[2])
    inputs = jnp.concatenate([observation, observation[:, :1]], axis=-1)
    rate = config.learner.learning_rate
    found = floors.adam_steps(floors.weights_of(before.params), inputs, target, rate, 10)
    wanted = floors.weights_of(after.params)
    for x, y, z in zip(
        *map(jax.tree.leaves, (found, wanted, floors.weights_of(before.params))), strict=True
    ):
        np.testing.assert_allclose(x, y, atol=2e-5)
        assert np.abs(x - z).max() > 5e-3
    q, _ = floors.forward(wanted, inputs)
    np.testing.assert_allclose(
        q, agent.network.apply(after.params, observation, observation[:, :1]), atol=1e-6
    )


def test_plans_by_hand_step_every_plan_from_every_state():
    """Two states, three plans of two actions each, one rollout at a time."""
    simulator = planner_simulator('pendulum', 'equations')
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum', 'mpq'), {'planner.num_samples': 3})
    models = scoring.particle_models(
        config.planner, planner_models(config, simulator, jax.random.key(0))
    )
    start = jax.tree.map(lambda leaf: leaf[0], start_states(simulator, 1)[0])
    actions = jax.random.uniform(jax.random.key(1), (3, 2, 1), minval=-1.0, maxval=1.0)
    params = make_network(config).init(jax.random.key(2), jnp.zeros(3), jnp.zeros(1))
    weights, inputs = floors.weights_of(params), jnp.ones((3, 4))
    found = floors.plans_in_turn(simulator, models, start, actions, weights, inputs, 2)
    wanted, state = 0.0, start
    for _ in range(2):
        for n in range(3):
            model = jax.tree.map(lambda leaf, n=n: leaf[n], models)
            end = rollout(simulator, model, state, actions[n]).state.qpos
            wanted += floors.forward(weights, inputs[n : n + 1] + end.sum())[0][0]
        first = jax.tree.map(lambda leaf: leaf[0], models)
        state = rollout(simulator, first, state, actions[0, :1]).state
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
