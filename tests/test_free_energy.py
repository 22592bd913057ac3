"""Free energies and learned Q against closed forms of linear-quadratic problems."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from mpq_jax.config import LearnerConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.learning import learner, replay_buffer
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning import mppi
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.free_energy import free_energy
from tests.conftest import LQ, at, lq_task

# Noise of deviation 0.2: limits of five deviations are as good as none.
PLANNER = PlannerConfig(num_samples=256, noise_variance=0.04, temperature=0.15, discount=0.9)


@dataclasses.dataclass(frozen=True)
class Quadratic:
    """ss s^2 / 2 + sa s a + aa a^2 / 2 + constant."""

    ss: float
    sa: float
    aa: float
    constant: float

    def __call__(self, s, a):
        return 0.5 * self.ss * s**2 + self.sa * s * a + 0.5 * self.aa * a**2 + self.constant


def soft_minimum(q: Quadratic, temperature: float, variance: float) -> tuple[float, float]:
    """-T log E_{a ~ N(0, variance)} exp(-q(s, a) / T) = p s^2 / 2 + k: returns (p, k)."""
    precision = q.aa / temperature + 1 / variance
    p = q.ss - q.sa**2 / (temperature * precision)
    k = q.constant + 0.5 * temperature * np.log(variance * precision)
    return p, k


def backed_up(p: float, k: float, discount: float) -> Quadratic:
    """c(s, a) + discount (p s'^2 / 2 + k)."""
    A, B = LQ['A'], LQ['B']
    return Quadratic(
        LQ['q'] + discount * p * A * A, discount * p * A * B,
        LQ['r'] + discount * p * B * B, discount * k,
    )  # fmt: skip


def analytic_value(terminal: Quadratic, config: PlannerConfig) -> tuple[float, float]:
    """V = W_0 by the recursion with temperature lambda / gamma^t: (p, k) of p s^2 / 2 + k."""
    q = terminal
    for t in reversed(range(config.horizon)):
        p, k = soft_minimum(q, config.temperature / config.discount**t, config.noise_variance)
        q = backed_up(p, k, config.discount)
    return p, k


def analytic_q(config: PlannerConfig) -> Quadratic:
    """The fixed point of Q = c + gamma V[Q]."""
    q = Quadratic(0.0, 0.0, 0.0, 0.0)
    for _ in range(500):
        q = backed_up(*analytic_value(q, config), config.discount)
    return q


def estimates(config, terminal, start, count, iterations=0, controls=None):
    """`count` independent Monte-Carlo values of one state."""
    simulator = make_simulator(lq_task())

    def terminal_cost(reading, variables, action):
        return terminal(reading.qpos[0], action[0])

    def one(key):
        state = at(simulator, start, 0.0)
        return mppi.state_value(
            config, simulator, terminal_cost, (), state, key,
            iterations=iterations, controls=controls,
        )[0]  # fmt: skip

    return np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(0), count)))


def test_one_step_quadratic_cost_under_a_gaussian_prior():
    """V = (lambda/2) log(1 + k sigma^2 / lambda) + k b^2 / 2 / (1 + k sigma^2 / lambda)."""
    k, b, temperature, variance = 3.0, 0.4, PLANNER.temperature, PLANNER.noise_variance
    ratio = k * variance / temperature
    expected = 0.5 * temperature * np.log(1 + ratio) + 0.5 * k * b**2 / (1 + ratio)
    config = dataclasses.replace(PLANNER, horizon=1, num_samples=20_000)
    values = estimates(config, lambda s, a: 0.5 * k * (a - b) ** 2, 0.0, 20)
    assert np.isclose(values.mean(), expected, rtol=0.003)


@pytest.mark.parametrize('horizon', [2, 5])
def test_several_steps_with_a_discount_follow_the_recursion(horizon):
    config = dataclasses.replace(PLANNER, horizon=horizon, num_samples=20_000)
    terminal, start = Quadratic(2.0, 0.3, 1.0, 0.5), 0.8
    p, k = analytic_value(terminal, config)
    values = estimates(config, terminal, start, 20)
    assert np.isclose(values.mean(), 0.5 * p * start**2 + k, rtol=0.005)


def test_an_optimised_distribution_gives_the_same_value():
    """The control cost makes the estimate independent of the plan that samples are drawn around."""
    config = dataclasses.replace(PLANNER, horizon=3, num_samples=20_000)
    terminal, start = Quadratic(2.0, 0.3, 1.0, 0.5), 0.8
    p, k = analytic_value(terminal, config)
    values = estimates(config, terminal, start, 10, iterations=3)
    assert np.isclose(values.mean(), 0.5 * p * start**2 + k, rtol=0.005)


def test_a_given_plan_gives_the_same_value():
    """Targets that start from the agent's plan estimate what targets from the prior do."""
    config = dataclasses.replace(PLANNER, horizon=3, num_samples=20_000)
    terminal, start = Quadratic(2.0, 0.3, 1.0, 0.5), 0.8
    p, k = analytic_value(terminal, config)
    controls = jnp.array([[-0.15], [-0.1], [0.05]])
    values = estimates(config, terminal, start, 20, controls=controls)
    assert np.isclose(values.mean(), 0.5 * p * start**2 + k, rtol=0.005)
    unlike = estimates(config, terminal, start, 20)
    assert not np.allclose(values, unlike, rtol=1e-6)


def test_error_falls_like_one_over_root_samples():
    terminal, start = Quadratic(2.0, 0.3, 1.0, 0.5), 0.8
    errors = []
    for samples in (500, 8000):
        config = dataclasses.replace(PLANNER, horizon=3, num_samples=samples)
        p, k = analytic_value(terminal, config)
        values = estimates(config, terminal, start, 200)
        errors.append(np.sqrt(np.mean((values - 0.5 * p * start**2 - k) ** 2)))
    assert 3.0 < errors[0] / errors[1] < 5.3  # sixteen times the samples: four times less


def test_free_energy_per_draw_is_the_mean_over_draws():
    scores = jnp.asarray(np.random.default_rng(0).normal(size=12), jnp.float32)
    config = PlannerConfig(num_samples=12, temperature=0.5, pooling='per_draw')
    own = [-0.5 * np.log(np.mean(np.exp(-np.asarray(scores)[d::3] / 0.5))) for d in range(3)]
    assert np.isclose(free_energy(config, scores, 3), np.mean(own), rtol=1e-5)
    pooled = free_energy(dataclasses.replace(config, pooling='pooled'), scores, 3)
    assert pooled < np.mean(own)  # pooling is a soft minimum over models: optimistic


class QuadraticNetwork(nn.Module):
    """Every quadratic of s and a: the analytic Q is one of them."""

    @nn.compact
    def __call__(self, observation, action):
        s, a = observation[..., 0], action[..., 0]
        features = jnp.stack([s**2, s * a, a**2, s, a], axis=-1)
        return nn.Dense(1)(features)[..., 0]


def lq_agent():
    return Agent(make_simulator(lq_task()), QuadraticNetwork())


def lq_transitions(count):
    """States and actions spread over the region where the analytic Q is compared."""
    random = np.random.default_rng(0)
    s, a = random.uniform(-1, 1, (count, 1)), random.uniform(-0.8, 0.8, (count, 1))
    simulator = make_simulator(lq_task())
    state = jax.vmap(lambda q: at(simulator, q, jnp.zeros(1)))
    now = state(jnp.asarray(s, jnp.float32))
    after = state(jnp.asarray(LQ['A'] * s + LQ['B'] * a, jnp.float32))
    cost = 0.5 * LQ['q'] * s[:, 0] ** 2 + 0.5 * LQ['r'] * a[:, 0] ** 2
    return Transition(
        now, now.qpos, jnp.asarray(a, jnp.float32), jnp.asarray(cost, jnp.float32),
        after, after.qpos, jnp.zeros(count, bool),
    )  # fmt: skip


def learned_q(planner: PlannerConfig, rounds: int = 120):
    """Fitted Q iteration on the transitions: s, a -> Q."""
    agent = lq_agent()
    config = LearnerConfig(num_states=128, epochs=10, minibatch_size=64)
    transitions = lq_transitions(1024)
    buffer = replay_buffer.add(
        replay_buffer.empty(jax.tree.map(lambda x: x[0], transitions), 1024),
        transitions,
        jnp.ones(1024, bool),
    )
    state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))

    def one_round(state, item):
        key, rate = item
        now = dataclasses.replace(config, learning_rate=rate)
        return learner.learn(planner, now, agent, (), state, buffer, key)

    keys = jax.random.split(jax.random.key(1), rounds)
    rates = jnp.geomspace(0.05, 0.002, rounds)
    state, _ = jax.jit(lambda state: jax.lax.scan(one_round, state, (keys, rates)))(state)
    return lambda s, a: agent.network.apply(state.params, s[:, None], a[:, None])


def test_learned_q_is_the_analytic_soft_q_at_each_horizon():
    """The fixed point depends on H: with a discount, the undiscounted KL term adds up."""
    random = np.random.default_rng(2)
    s, a = random.uniform(-0.8, 0.8, (2, 500))
    planners = {h: dataclasses.replace(PLANNER, horizon=h, num_samples=256) for h in (1, 8)}
    analytic = {h: analytic_q(planner)(s, a) for h, planner in planners.items()}
    gap = np.abs(analytic[1] - analytic[8]).mean()
    for horizon, planner in planners.items():
        learned = np.asarray(learned_q(planner)(jnp.asarray(s), jnp.asarray(a)))
        error = np.abs(learned - analytic[horizon]).mean()
        assert error < 0.2 * gap, (horizon, error, gap)
