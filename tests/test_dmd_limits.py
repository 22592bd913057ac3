"""DMD-MPC's update at its limits, as a proximal step, and on a linear-quadratic problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mpq_jax.config import DMDConfig
from mpq_jax.planning import dmd
from mpq_jax.planning.planner import Candidates

DRAWN = jax.random.normal(jax.random.key(0), (16, 3, 2))
COSTS = jax.random.permutation(jax.random.key(1), jnp.arange(16.0))
BEST = DRAWN[jnp.argmin(COSTS)]


@pytest.mark.parametrize(
    ('fields', 'step'),
    [
        ({'temperature': 1e-6}, BEST), ({'temperature': 1e6}, DRAWN.mean(axis=0)),
        ({'loss': 'low_cost', 'elite_fraction': 1.0}, DRAWN.mean(axis=0)),
        ({'loss': 'low_cost', 'elite_fraction': 1 / 16}, BEST),  # random shooting's plan
        ({'step_size': 0.0}, 0 * BEST),
    ],
)  # fmt: skip
def test_limits_of_a_step(fields, step):
    c = DMDConfig(horizon=3, num_samples=16, **({'step_size': 1.0, 'covariance': 'fixed'} | fields))
    plan = dmd.Gaussian(jnp.full((3, 2), 0.3))
    after = dmd.update(c, plan, Candidates(DRAWN, DRAWN), COSTS).plan
    np.testing.assert_allclose(after.mean, 0.3 + step, atol=1e-5)


@pytest.mark.parametrize('step', [0.3, 0.7, 1.0])
def test_the_moments_are_those_of_the_proximal_step(step):
    """The minimiser over natural parameters of step <g, eta> + KL(now || eta), numerically."""
    c = DMDConfig(
        horizon=1, num_samples=16, temperature=4.0, step_size=step, covariance_step_size=step,
        noise_variance=0.8, covariance_floor=1e-6,
    )  # fmt: skip
    drawn = DRAWN[:, :1, :1]
    plan = dmd.Gaussian(jnp.full((1, 1), 0.3), jnp.full((1, 1), 0.8))
    updated = dmd.update(c, plan, Candidates(drawn, drawn), COSTS)
    u, weights = 0.3 + np.asarray(drawn, float).ravel(), np.asarray(updated.weights, float)
    now = np.array([0.3, 0.8 + 0.3**2])
    gradient = now - np.array([weights @ u, weights @ u**2])

    def objective(x):  # of a mean and the logarithm of a variance
        mean, variance = x[0], np.exp(x[1])
        natural = np.array([mean / variance, -0.5 / variance])
        partition = 0.5 * mean**2 / variance + 0.5 * np.log(variance)
        return step * gradient @ natural + partition - now @ natural

    best = minimize(objective, [0.0, 0.0], method='BFGS', options={'gtol': 1e-9}).x
    np.testing.assert_allclose(updated.plan.mean.ravel(), best[:1], atol=1e-3)
    np.testing.assert_allclose(updated.plan.covariance.ravel(), np.exp(best[1:]), rtol=1e-3)


def test_repeated_steps_end_at_the_plan_of_a_linear_quadratic_problem():
    """A double integrator; without the control term covariances shrink and the mean converges."""
    horizon, a, b = 4, np.array([[1.0, 0.5], [0.0, 1.0]]), np.array([0.0, 0.5])
    free = [np.linalg.matrix_power(a, t + 1) @ [1.0, 0.0] for t in range(horizon)]
    power = np.linalg.matrix_power
    forced = [
        np.stack([power(a, max(t - k, 0)) @ b * (k <= t) for k in range(horizon)], axis=1)
        for t in range(horizon)
    ]
    bend = 0.1 * np.eye(horizon) + sum(f.T @ f for f in forced)
    slope = sum(f.T @ x for f, x in zip(forced, free, strict=True))
    best = -np.linalg.solve(bend, slope)
    c = DMDConfig(
        horizon=horizon, num_samples=2000, temperature=0.2, step_size=1.0, covariance='diagonal',
        covariance_step_size=0.1, noise_variance=1.0, covariance_floor=5e-3,
    )  # fmt: skip

    def improve(plan, key):
        drawn = dmd.sample(c, plan, key).drawn
        u = (plan.mean + drawn)[..., 0]
        costs = 0.5 * jnp.einsum('ni,ij,nj->n', u, jnp.float32(bend), u) + u @ jnp.float32(slope)
        after = dmd.update(c, plan, Candidates(drawn, drawn), costs).plan
        return after, after.mean[:, 0]

    plan, means = jax.lax.scan(improve, dmd.init(c, 1), jax.random.split(jax.random.key(2), 300))
    np.testing.assert_allclose(np.mean(means[100:], axis=0), best, atol=0.01)
    assert np.max(plan.covariance) < 0.05  # from 1


def test_what_an_update_does_not_depend_on():
    """The unit of cost and temperature together; with an elite, any increasing transform."""

    def after(costs, **fields):
        c = DMDConfig(horizon=3, num_samples=16, elite_fraction=0.25, **fields)
        return dmd.update(c, dmd.init(c, 2), Candidates(DRAWN, DRAWN), costs).plan

    pairs = [
        (after(COSTS, temperature=2.0), after(3 * COSTS, temperature=6.0)),
        (after(COSTS, loss='low_cost'), after(jnp.exp(0.3 * COSTS) - 5, loss='low_cost')),
    ]
    for one, other in pairs:
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), one, other)
