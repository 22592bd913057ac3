"""DeMoRL's inner loop against NumPy: whose actions are followed, where they lead, what is kept."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import DemorlConfig, DMDConfig, DynamicsConfig, PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.learned import Ensemble, Member, Scales, make_learned_simulator
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.policies.demorl import mixed
from mpq_jax.learning.policies.model_rollouts import InnerLoop
from mpq_jax.learning.policies.sac_step import Experience
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.dmd import DMD
from mpq_jax.planning.planner import Candidates
from tests.conftest import LQ, lq_task

STARTS, NETWORKS, STEPS = 6, 2, 3
GRID = np.random.default_rng(0).normal(0.0, 0.4, (8, STEPS, 1)).astype(np.float32)
ENDING = {
    'terminated': lambda reading, variables: jnp.abs(reading.qpos[0]) > 0.6,
    'terminal_cost': lambda reading, variables: jnp.asarray(7.0),
}
# The samples are known; all else is the planner's own.
KNOWN = DMD._replace(
    sample=lambda config, plan, key: Candidates(jnp.clip(plan.mean + GRID, -1.0, 1.0), GRID)
)


class SquareQ(NamedTuple):
    init: None = None

    def apply(self, params, observation, action):
        return params * observation[0] ** 2 + action[0] ** 2


def networks(task):
    """A learned simulator without noise, and an ensemble of random networks."""
    config = DynamicsConfig(
        members=NETWORKS, hidden_width=4, hidden_layers=1, particles=0, sample_noise=False
    )
    physics = make_simulator(task, PhysicsConfig(backend='equations'))
    simulator = make_learned_simulator(physics, config, corrects=False)
    keys = jax.random.split(jax.random.key(3), NETWORKS)
    params = jax.vmap(lambda key: simulator.dynamics.network.init(key, jnp.zeros(3)))(keys)
    scales = Scales(jnp.zeros((2, 3)), jnp.ones((2, 3)), jnp.ones((2, 2)))
    return simulator, Ensemble(Member(params, scales), {})


def predicted(ensemble, network, state, action):
    """The state `[2]` that a network's mean leads to, in NumPy."""
    layers = jax.tree.map(lambda x: np.asarray(x[network], float), ensemble.member.params)['params']
    x = np.array([*state, *action])
    x = x @ layers['Dense_0']['kernel'] + layers['Dense_0']['bias']
    x = x / (1 + np.exp(-x))
    x = x @ layers['Dense_1']['kernel'] + layers['Dense_1']['bias']
    return state + x[:2]


def cost(state, action):
    return 0.5 * LQ['q'] * state[0] ** 2 + 0.5 * LQ['r'] * action[0] ** 2


def followed(step_size=1.0, loss='low_cost', iterations=1, **changes):
    """Improved rollouts from six states, where they started, and on what."""
    config = DMDConfig(
        loss=loss, covariance='fixed', horizon=STEPS, num_samples=len(GRID), elite_fraction=0.25,
        temperature=0.7, step_size=step_size, discount=0.9, iterations=iterations,
    )  # fmt: skip
    simulator, ensemble = networks(lq_task(**changes))
    loop = InnerLoop(Agent(simulator, SquareQ(), KNOWN), policy)
    places = jnp.linspace(-0.5, 0.5, STARTS)
    starts = jax.vmap(lambda x: simulator.state(mpq_jax.Start(x[None], jnp.ones(1) * 0.1)))(places)
    roll = jax.jit(lambda key: loop.rollouts(config, -0.8, 2.0, ensemble, starts, key))
    result = jax.tree.map(np.asarray, roll(jax.random.key(1)))
    states = np.stack([np.asarray(places), np.full(STARTS, 0.1)], axis=1)
    return result, states, ensemble, config


def policy(gain, observation, key):
    return jnp.tanh(gain * observation)


def test_without_a_step_the_policys_own_rollouts_are_kept():
    """MBPO's: every action is the policy's at what the network led to."""
    result, _, _, _ = followed(step_size=0.0)
    seen = result.experience
    np.testing.assert_allclose(seen.action, np.tanh(-0.8 * seen.observation), atol=1e-6)
    unplanned, _, _, _ = followed(iterations=0)
    jax.tree.map(np.testing.assert_array_equal, unplanned, result)
    moved, _, _, _ = followed(step_size=1.0)
    assert np.abs(moved.actions - result.actions).max() > 0.05


@pytest.mark.parametrize('step_size', [0.0, 1.0])
def test_what_is_kept_happened_on_the_other_network(step_size):
    """The first half of the starts is planned for on the first network, and kept of the second."""
    result, states, ensemble, _ = followed(step_size)
    assert result.valid.all()
    for i, state in enumerate(states):
        for t in range(STEPS):
            seen = jax.tree.map(lambda x, i=i, t=t: x[i, t], result.experience)
            np.testing.assert_allclose(seen.observation, state[:1], atol=1e-5)
            np.testing.assert_allclose(seen.cost, cost(state, seen.action), atol=1e-5)
            state = predicted(ensemble, 1 - i // (STARTS // NETWORKS), state, seen.action)
            np.testing.assert_allclose(seen.next_observation, state[:1], atol=1e-5)
            assert not seen.terminated


def bare_actions(ensemble, network, state):
    """The policy's `[L, 1]`, where they lead."""
    actions = []
    for _ in range(STEPS):
        actions.append(np.tanh(-0.8 * state[:1]))
        state = predicted(ensemble, network, state, actions[-1])
    return np.array(actions)


def plan_cost(ensemble, network, state, plan, discount=0.9):
    total = 0.0
    for t in range(STEPS - 1):
        total += discount**t * cost(state, plan[t])
        state = predicted(ensemble, network, state, plan[t])
    return total + discount ** (STEPS - 1) * (2.0 * state[0] ** 2 + plan[-1, 0] ** 2)


@pytest.mark.parametrize('loss', ['exponential_utility', 'low_cost'])
def test_actions_move_by_the_weighted_samples(loss):
    """Exponential weights are MoPAC's, an elite's mean is DeMoRL's: one path, two losses."""
    result, states, ensemble, config = followed(loss=loss)
    for i, start in enumerate(states):
        network = i // (STARTS // NETWORKS)
        bare = bare_actions(ensemble, network, start)
        plans = np.clip(bare + GRID, -1.0, 1.0)
        costs = np.array([plan_cost(ensemble, network, start, plan) for plan in plans])
        if loss == 'low_cost':
            weights = np.isin(np.arange(len(GRID)), np.argsort(costs)[:2]) / 2
        else:
            weights = np.exp(-(costs - costs.min()) / config.temperature)
            weights /= weights.sum()
        moves = np.clip(bare + np.tensordot(weights, GRID, axes=1), -1.0, 1.0) - bare
        seen = result.experience.observation[i]  # on the other network
        expected = np.clip(np.tanh(-0.8 * seen) + moves, -1.0, 1.0)
        np.testing.assert_allclose(result.actions[i], expected, atol=1e-4)


def test_a_rollout_ends_where_the_task_does():
    result, _, _, _ = followed(step_size=1.0, **ENDING)
    ended = np.abs(result.experience.next_observation[..., 0]) > 0.6
    assert ended.any() and not ended.all()
    np.testing.assert_array_equal(result.experience.terminated & result.valid, ended & result.valid)
    before = np.cumsum(ended, axis=1) - ended  # of earlier steps
    np.testing.assert_array_equal(result.valid, before == 0)
    assert (result.experience.next_terminal_cost == 7.0).all()


def test_a_minibatch_has_its_share_of_real_transitions():
    def buffer(cost, size):
        example = Experience(jnp.zeros(1), jnp.zeros(1), jnp.float32(0), jnp.zeros(1), jnp.bool_(0))
        rows = jax.tree.map(lambda x: jnp.broadcast_to(x, (4, *x.shape)), example)
        rows = rows._replace(cost=jnp.full(4, cost))
        return replay_buffer.add(replay_buffer.empty(example, 8), rows, jnp.arange(4) < size)

    real, model = buffer(1.0, 4), buffer(-1.0, 4)
    for share in (0.0, 0.05, 0.31, 1.0):
        batch = mixed(64, (real, model, share), jax.random.key(0))
        assert int((batch.cost == 1.0).sum()) == round(64 * share)
    alone = mixed(64, (real, buffer(-1.0, 0), 0.05), jax.random.key(0))
    assert (alone.cost == 1.0).all()


def test_schedules_are_linear_and_the_buffer_holds_whole_rounds():
    config = DemorlConfig(
        starts=50, generations=2, retained_rounds=3, schedule_from=1000.0, schedule_until=3000.0
    )
    assert config.capacity(horizon=5) == 3 * 2 * 50 * 5
    steps = np.array([0.0, 1000.0, 1500.0, 3000.0, 9000.0])
    np.testing.assert_allclose(config.at(steps, 0.2, 0.8), [0.2, 0.2, 0.35, 0.8, 0.8])


def test_returns_of_both_signs_give_no_negative_weight():
    """Weights in proportion to costs, as in the authors' code, would be of either sign."""
    costs = jnp.array([-3.0, 2.0, 0.5, -0.1, 4.0, -7.0, 1.0, 0.0])
    for loss in ('low_cost', 'exponential_utility'):
        config = DMDConfig(loss=loss, covariance='fixed', num_samples=8, elite_fraction=0.5)
        plan = DMD.around(config, jnp.zeros((STEPS, 1)))
        found = DMD.update(config, plan, KNOWN.sample(config, plan, None), costs)
        assert (found.weights >= 0).all() and np.isclose(found.weights.sum(), 1.0)


def test_bad_fields_are_refused_by_name():
    planner = DMDConfig(horizon=5, num_samples=20)
    for fields, said in (
        ({'length_last': 6.0}, r'demorl\.length_last = 6\.0.*5'),
        ({'real_share_first': 1.5}, r'demorl\.real_share_first'),
        ({'schedule_until': 0.0}, r'demorl\.schedule_until.*schedule_from'),
        ({'starts': 0}, r'demorl\.starts'),
        ({'policy_rollouts': 0}, r'demorl\.policy_rollouts'),
    ):
        with pytest.raises(ConfigError, match=said):
            DemorlConfig(**fields).validate(planner)
