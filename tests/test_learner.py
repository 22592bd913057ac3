"""Targets, rounds and the replay buffer against plain NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mpq_jax.config import ExecutionConfig, LearnerConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.learning import learner, replay_buffer
from mpq_jax.learning.q_function import QNetwork
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent
from tests.conftest import at, lq_task

learn = jax.jit(learner.learn, static_argnums=2)
PLANNER = PlannerConfig(horizon=1, num_samples=32)


def transitions(simulator, count, seed=0, terminated=False):
    random = np.random.default_rng(seed)
    s, a, after = jnp.asarray(random.uniform(-1, 1, (3, count, 1)), jnp.float32)
    state = jax.vmap(lambda q: at(simulator, q, jnp.zeros(1)))
    return Transition(
        state(s), s, a, jnp.asarray(random.uniform(0, 1, count), jnp.float32),
        state(after), after, jnp.full(count, terminated),
    )  # fmt: skip


def lq_agent(**changes):
    return Agent(make_simulator(lq_task(**changes)), QNetwork(8, 2))


def stored(batch, capacity):
    empty = replay_buffer.empty(jax.tree.map(lambda x: x[0], batch), capacity)
    return replay_buffer.add(empty, batch, jnp.ones(len(batch.cost), bool))


def numpy_q(params, observation, action):
    """The network written out: two tanh layers and a linear one."""
    x = np.concatenate([observation, action], axis=-1)
    layers = params['params']
    for name in ('Dense_0', 'Dense_1'):
        x = np.tanh(x @ np.asarray(layers[name]['kernel']) + np.asarray(layers[name]['bias']))
    return (x @ np.asarray(layers['Dense_2']['kernel']) + np.asarray(layers['Dense_2']['bias']))[
        ..., 0
    ]


def test_horizon_one_is_soft_q_learning():
    """No model step at all: V(s') = -lambda log mean exp(-Q(s', a) / lambda) over the prior."""
    agent, config = lq_agent(), LearnerConfig(target_iterations=0)
    batch = transitions(agent.simulator, 6)
    state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
    key = jax.random.key(4)
    targets = make_targets(PLANNER, config, agent, state.params, batch, key)
    for i, item_key in enumerate(jax.random.split(key, 6)):
        _, value_key = jax.random.split(item_key)
        noise = np.sqrt(PLANNER.noise_variance) * jax.random.normal(value_key, (32, 1, 1))
        actions = np.clip(noise[:, 0], -1.0, 1.0)
        observations = np.repeat(np.asarray(batch.next_observation[i])[None], 32, axis=0)
        q = numpy_q(state.params, observations, actions)
        value = -PLANNER.temperature * np.log(np.mean(np.exp(-q / PLANNER.temperature)))
        expected = batch.cost[i] + PLANNER.discount * value
        np.testing.assert_allclose(targets[i], expected, rtol=1e-4)


def test_a_termination_has_no_future_and_a_time_limit_has():
    agent, config = lq_agent(), LearnerConfig()
    params = learner.init(config, agent, jnp.zeros(1), jax.random.key(0)).params
    for terminated in (True, False):
        batch = transitions(agent.simulator, 5, terminated=terminated)
        targets = make_targets(PLANNER, config, agent, params, batch, jax.random.key(1))
        assert np.allclose(targets, batch.cost) is terminated


def test_targets_do_not_depend_on_the_chunk():
    agent = lq_agent()
    planner = dataclasses.replace(PLANNER, horizon=3)
    batch = transitions(agent.simulator, 10)
    params = learner.init(LearnerConfig(), agent, jnp.zeros(1), jax.random.key(0)).params
    whole, chunked = (
        make_targets(planner, LearnerConfig(), chunks, params, batch, jax.random.key(1))
        for chunks in (agent, dataclasses.replace(agent, execution=ExecutionConfig(0, 3)))
    )
    np.testing.assert_allclose(chunked, whole, rtol=1e-5)


def one_round(config, batch, agent=None, learning_rate=1e-3):
    agent = agent or lq_agent()
    config = dataclasses.replace(config, learning_rate=learning_rate)
    state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
    buffer = stored(batch, len(batch.cost))

    learned = learn(PLANNER, config, agent, (), state, buffer, jax.random.key(1))
    return state, *learned


def make_targets(planner, config, agent, params, batch, key):
    fn = jax.jit(lambda *args: learner.make_targets(planner, config, agent, (), *args))
    return fn(params, batch, key)


def test_one_gradient_step_is_adam_on_the_mean_squared_error():
    """Terminations make the targets known: y = c."""
    agent = lq_agent()
    batch = transitions(agent.simulator, 1, terminated=True)
    batch = jax.tree.map(lambda x: jnp.repeat(x, 8, axis=0), batch)
    config = LearnerConfig(num_states=8, minibatch_size=8, epochs=1)
    before, after, metrics = one_round(config, batch, agent)

    def loss(params):
        q = agent.network.apply(params, batch.observation, batch.action)
        return jnp.mean((q - batch.cost) ** 2)

    adam = optax.adam(1e-3)
    updates, _ = adam.update(jax.grad(loss)(before.params), adam.init(before.params))
    expected = optax.apply_updates(before.params, updates)
    for got, want in zip(jax.tree.leaves(after.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(got, want, atol=1e-6)
    assert np.isclose(metrics.q_loss, loss(before.params), rtol=1e-5)


def test_costs_in_other_units_with_a_q_scale_are_the_same_round():
    """Costs, temperature and Q fifty times as large: Adam's steps do not see it."""
    config = LearnerConfig(num_states=32, minibatch_size=8, epochs=3)
    rounds = []
    for units in (1.0, 50.0):
        cost = lq_task().cost
        task = lq_task(cost=lambda *seen, k=units, cost=cost: k * cost(*seen))
        agent = Agent(make_simulator(task), QNetwork(8, 2, units))
        planner = dataclasses.replace(PLANNER, horizon=3, temperature=0.3 * units)
        batch = transitions(agent.simulator, 64)
        buffer = stored(batch._replace(cost=units * batch.cost), 64)
        before = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
        after, metrics = learn(planner, config, agent, (), before, buffer, jax.random.key(1))
        rounds.append((before.params, after.params, metrics))
    (before, once, plain), (_, again, large) = rounds
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), before, once)
    assert max(jax.tree.leaves(moved)) > 5e-3  # twelve steps of a thousandth
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5), once, again)
    assert np.isclose(large.q_loss, 2500.0 * plain.q_loss, rtol=1e-3)
    assert np.isclose(large.target_mean, 50.0 * plain.target_mean, rtol=1e-3)


@pytest.mark.parametrize('mode', ['fitted', 'per_minibatch'])
def test_rounds_fit_known_targets(mode):
    batch = transitions(lq_agent().simulator, 256, terminated=True)
    smooth = batch._replace(cost=jnp.cos(2 * batch.observation[:, 0]) + batch.action[:, 0])
    config = LearnerConfig(
        mode=mode, num_states=256, minibatch_size=32, epochs=100, num_minibatches=800
    )
    _, state, _ = one_round(config, smooth, learning_rate=1e-2)
    q = numpy_q(state.params, np.asarray(batch.observation), np.asarray(batch.action))
    assert np.mean((q - smooth.cost) ** 2) < 0.01 * np.var(smooth.cost)


def test_rounds_that_are_kept_are_fitted_again():
    agent = lq_agent()
    config = LearnerConfig(num_states=8, minibatch_size=8, epochs=1, rounds_kept=3, hidden_width=8)
    state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
    assert state.kept.target.shape == (2, 8) and np.isnan(state.kept.target).all()
    batch = transitions(agent.simulator, 30, terminated=True)
    buffer = stored(batch, 30)
    seen = []
    for i in range(4):
        state, metrics = learn(PLANNER, config, agent, (), state, buffer, jax.random.key(i))
        seen.insert(0, np.asarray(state.kept.target[0]))
        assert metrics.nonfinite_targets == 0 and np.isfinite(metrics.q_loss)
    np.testing.assert_array_equal(state.kept.target, seen[:2])  # newest first, the oldest gone
    costs = set(np.asarray(batch.cost))
    assert {*seen[0]} <= costs and {*seen[1]} <= costs and {*seen[0]} != {*seen[1]}


def test_more_rounds_mean_more_gradient_steps():
    """One epoch over three rounds of 16 in minibatches of 8 is six steps of Adam."""
    agent = lq_agent()
    for rounds, steps in ((1, 2), (3, 6)):
        config = LearnerConfig(num_states=16, minibatch_size=8, epochs=1, rounds_kept=rounds)
        state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
        buffer = stored(transitions(agent.simulator, 30), 30)
        state, _ = learn(PLANNER, config, agent, (), state, buffer, jax.random.key(1))
        assert state.optimizer.count == steps


def test_target_network_follows_slowly():
    batch = transitions(lq_agent().simulator, 64, terminated=True)
    config = LearnerConfig(
        num_states=32, minibatch_size=32, epochs=1, target_network=True, polyak=0.1
    )
    before, after, _ = one_round(config, batch)
    pairs = zip(
        jax.tree.leaves(before.params), jax.tree.leaves(after.params),
        jax.tree.leaves(after.target_params), strict=True,
    )  # fmt: skip
    for old, new, target in pairs:
        np.testing.assert_allclose(target, 0.9 * old + 0.1 * new, atol=1e-7)


def test_a_nonfinite_target_is_masked_and_counted():
    agent = lq_agent()
    batch = transitions(agent.simulator, 64, terminated=True)
    poisoned = batch._replace(cost=batch.cost.at[::4].set(jnp.nan))
    config = LearnerConfig(num_states=64, minibatch_size=64, epochs=1)
    _, state, metrics = one_round(config, poisoned, agent)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state.params))
    assert 0.1 < metrics.nonfinite_targets < 0.4
    # The finite ones are fitted as if the others were not there.
    sampled = replay_buffer.sample(
        stored(poisoned, 64), jax.random.split(jax.random.key(1), 3)[0], 64
    )
    usable = np.isfinite(sampled.cost)
    assert np.isclose(metrics.nonfinite_targets, 1 - usable.mean())
    params = learner.init(config, agent, jnp.zeros(1), jax.random.key(0)).params
    q = numpy_q(params, np.asarray(sampled.observation), np.asarray(sampled.action))
    expected = np.mean((q - np.asarray(sampled.cost))[usable] ** 2)
    assert np.isclose(metrics.q_loss, expected, rtol=1e-4)


def test_plan_steps_of_a_round():
    """states x (iterations + 1) x N x (H - 1)."""
    planner = PlannerConfig(horizon=8, num_samples=24)
    config = LearnerConfig(num_states=1280, target_iterations=0)
    assert learner.plan_steps(planner, config) == 1280 * 24 * 7
    fresh = LearnerConfig(mode='per_minibatch', target_iterations=3)
    assert learner.plan_steps(planner, fresh) == 100 * 64 * 4 * 24 * 7


def test_buffer_is_a_ring_that_skips_invalid_transitions():
    simulator = lq_agent().simulator
    first, second = transitions(simulator, 4, seed=1), transitions(simulator, 4, seed=2)
    buffer = stored(first, 5)
    valid = jnp.array([True, True, True, False])
    buffer = replay_buffer.add(buffer, second, valid)
    expected = [second.cost[1], second.cost[2], *first.cost[2:4], second.cost[0]]
    np.testing.assert_array_equal(buffer.storage.cost, jnp.stack(expected))
    assert (int(buffer.position), int(buffer.size)) == (2, 5)
    drawn = replay_buffer.sample(buffer, jax.random.key(0), 500)
    assert set(np.asarray(drawn.cost).tolist()) == set(np.asarray(buffer.storage.cost).tolist())
    np.testing.assert_array_equal(drawn.observation, drawn.state.qpos)


def test_a_partly_filled_buffer_gives_only_what_was_stored():
    batch = transitions(lq_agent().simulator, 3)
    drawn = replay_buffer.sample(stored(batch, 100), jax.random.key(0), 200)
    assert set(np.asarray(drawn.cost).tolist()) == set(np.asarray(batch.cost).tolist())
