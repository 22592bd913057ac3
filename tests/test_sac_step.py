"""A gradient step of SAC against NumPy's finite differences, and the temperature it ends at."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.config import SACConfig
from mpq_jax.learning.policies import sac_step
from mpq_jax.learning.policies.networks import _MLP, ActorCritic, make_actor_critic
from mpq_jax.learning.policies.sac_step import Experience, gradient_step

CONFIG = SACConfig(
    discount=0.9, polyak=0.1, learning_rate=0.01, reward_scale=0.5, initial_temperature=0.3,
    target_entropy_scale=0.7,
)  # fmt: skip
LINEAR = ActorCritic(_MLP(1, 0, 2), _MLP(1, 0, 1))  # both networks without hidden layers
ROWS = 6


def experience(seed):
    """Of two observed numbers and one action; two rows of six end."""
    rng = np.random.default_rng(seed)
    return Experience(
        observation=rng.normal(size=(ROWS, 2)),
        action=rng.uniform(-1.0, 1.0, (ROWS, 1)),
        cost=rng.normal(size=ROWS),
        next_observation=rng.normal(size=(ROWS, 2)),
        terminated=np.arange(ROWS) % 3 == 0,
        next_terminal_cost=rng.normal(size=ROWS),
    )


def as_arrays(batch):
    return jax.tree.map(lambda x: jnp.asarray(x, x.dtype if x.dtype == bool else 'float32'), batch)


class NumPySAC:
    """Two linear Qs and a linear policy in double precision; gradients are differences."""

    def __init__(self, trained):
        policy, q = trained.policy['params']['Dense_0'], trained.qs['params']['Dense_0']
        self.values = {
            'policy': np.concatenate([policy['kernel'], policy['bias'][None]]).astype(float),
            'qs': np.concatenate([q['kernel'][..., 0], q['bias']], axis=1).astype(float),
            'log_temperature': np.array([float(trained.log_temperature)]),
        }
        self.target_qs = self.values['qs'].copy()
        self.moments = {name: [0.0 * x, 0.0 * x] for name, x in self.values.items()}
        self.steps = 0

    def act(self, policy, observation, normal):
        out = np.concatenate([observation, np.ones((ROWS, 1))], axis=1) @ policy
        mean, log_std = out[:, 0], np.clip(out[:, 1], -20.0, 2.0)
        x = mean + np.exp(log_std) * normal
        log_density = -0.5 * normal**2 - log_std - 0.5 * np.log(2 * np.pi)
        return np.tanh(x), log_density - np.log(1.0 - np.tanh(x) ** 2)

    def q(self, qs, observation, action):
        ones = np.ones((ROWS, 1))
        return qs @ np.concatenate([observation, action.reshape(ROWS, 1), ones], axis=1).T

    def targets(self, batch, normal):
        action, log_density = self.act(self.values['policy'], batch.next_observation, normal)
        lower = self.q(self.target_qs, batch.next_observation, action).min(axis=0)
        later = lower - np.exp(self.values['log_temperature']) * log_density
        ended = -CONFIG.reward_scale * batch.next_terminal_cost
        later = np.where(batch.terminated, ended, later)
        return -CONFIG.reward_scale * batch.cost + CONFIG.discount * later

    def step(self, batch, target_normal, normal):
        self.steps += 1
        before = {name: x.copy() for name, x in self.values.items()}
        temperature = np.exp(before['log_temperature'])
        targets = self.targets(batch, target_normal)
        observed = batch.observation

        def q_loss(qs):
            return np.mean((self.q(qs, observed, batch.action) - targets) ** 2)

        def policy_loss(policy):
            action, log_density = self.act(policy, observed, normal)
            lower = self.q(self.values['qs'], observed, action).min(axis=0)
            return np.mean(temperature * log_density - lower)

        _, log_density = self.act(before['policy'], observed, normal)

        def temperature_loss(log_temperature):
            return -log_temperature[0] * np.mean(log_density - CONFIG.target_entropy_scale)

        figures = q_loss(before['qs']), None, -log_density.mean()
        self.adam('qs', q_loss)  # the policy climbs the fitted Qs
        figures = figures[0], policy_loss(before['policy']), figures[2]
        self.adam('policy', policy_loss)
        self.adam('log_temperature', temperature_loss)
        self.target_qs += CONFIG.polyak * (self.values['qs'] - self.target_qs)
        return figures

    def adam(self, name, loss):
        value, (first, second) = self.values[name], self.moments[name]
        gradient = np.zeros_like(value)
        for place in np.ndindex(value.shape):
            change = np.zeros_like(value)
            change[place] = 1e-5
            gradient[place] = (loss(value + change) - loss(value - change)) / 2e-5
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        self.moments[name] = [first, second]
        scale = np.sqrt(second / (1.0 - 0.999**self.steps)) + 1e-8
        self.values[name] = value - CONFIG.learning_rate * first / (1.0 - 0.9**self.steps) / scale


def test_three_steps_are_those_of_differences_in_numpy():
    trained = sac_step.fresh(CONFIG, LINEAR, jnp.zeros(2), jnp.zeros(1), jax.random.key(0))
    reference = NumPySAC(trained)
    step = jax.jit(lambda trained, batch, key: gradient_step(CONFIG, LINEAR, trained, batch, key))
    for i in range(3):
        batch, key = experience(i), jax.random.key(10 + i)
        normals = [
            np.asarray(jax.random.normal(k, (ROWS, 1)))[:, 0].astype(float)
            for k in jax.random.split(key)
        ]
        trained, figures = step(trained, as_arrays(batch), key)
        np.testing.assert_allclose(figures, np.squeeze(reference.step(batch, *normals)), rtol=1e-4)
    after = NumPySAC(trained)
    for name, value in reference.values.items():
        np.testing.assert_allclose(after.values[name], value, atol=1e-5)
    q = trained.target_qs['params']['Dense_0']
    got = np.concatenate([q['kernel'][..., 0], q['bias']], axis=1)
    np.testing.assert_allclose(got, reference.target_qs, atol=1e-5)


def test_a_termination_counts_its_cost_once_and_nothing_after_it():
    """By hand: r - gamma times the terminal cost; a time limit goes on."""
    trained = sac_step.fresh(CONFIG, LINEAR, jnp.zeros(2), jnp.zeros(1), jax.random.key(0))
    batch = as_arrays(experience(0))
    targets = sac_step.q_targets(CONFIG, LINEAR, trained, batch, jax.random.key(1))
    by_hand = -0.5 * (batch.cost + 0.9 * batch.next_terminal_cost)
    ended = np.asarray(batch.terminated)
    np.testing.assert_allclose(targets[ended], by_hand[ended], rtol=1e-5)
    never = batch._replace(next_terminal_cost=())
    going = sac_step.q_targets(CONFIG, LINEAR, trained, never, jax.random.key(1))
    np.testing.assert_allclose(targets[~ended], going[~ended], rtol=1e-5)
    assert not np.isclose(targets[ended], going[ended]).any()


class KnownQs(ActorCritic):
    """Q(s, a) = -10 (a - 0.2)^2: what is learned is the policy and its temperature."""

    def qs(self, params, observation, action):
        value = -10.0 * (action[..., 0] - 0.2) ** 2
        return jnp.stack([value, value])


def test_the_temperature_ends_where_the_optimal_policy_has_the_target_entropy():
    """The optimum exp(Q / alpha) is Gaussian with variance alpha / 20, well inside the box.

    Its entropy 0.5 log(2 pi e alpha / 20) is the target where alpha = 20 exp(2 target) / (2 pi e).
    """
    scale = 1.5
    config = dataclasses.replace(
        CONFIG, learning_rate=1e-2, target_entropy_scale=scale, initial_temperature=0.05
    )
    networks = KnownQs(*make_actor_critic(SACConfig(hidden_width=8, hidden_layers=1), 1))
    zeros = jnp.zeros((256, 1))
    nothing = jnp.zeros(256)
    batch = Experience(zeros, zeros, nothing, zeros, nothing.astype(bool))
    trained = sac_step.fresh(config, networks, zeros[0], zeros[0], jax.random.key(0))

    @jax.jit
    def learned(trained):
        def step(trained, key):
            return gradient_step(config, networks, trained, batch, key)

        return jax.lax.scan(step, trained, jax.random.split(jax.random.key(1), 4000))

    trained, figures = learned(trained)
    np.testing.assert_allclose(figures.entropy[-500:].mean(), -scale, atol=0.02)
    alpha = 20.0 * np.exp(-2.0 * scale) / (2.0 * np.pi * np.e)
    np.testing.assert_allclose(jnp.exp(trained.log_temperature), alpha, rtol=0.1)
    policy = networks.policy(trained.policy, zeros[0])
    np.testing.assert_allclose(policy.mode, [0.2], atol=0.01)
