"""The acting temperature from a target effective sample size, against a root finder."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from mpq_jax.config import PlannerConfig
from mpq_jax.planning import mppi
from mpq_jax.planning.free_energy import misses_target, weights
from mpq_jax.planning.planner import diagnose, state_value

ASKED = PlannerConfig(
    horizon=6, temperature=0.5, noise_variance=0.6, num_samples=200, temperature_rule='target_ess',
    target_ess=20.0,
)  # fmt: skip


def test_the_temperature_gives_the_effective_sample_size_asked_for():
    """As a root finder has it; the scores keep their control term, and Q's targets their values."""
    c = ASKED
    fixed = dataclasses.replace(c, temperature_rule='fixed')
    plan = 0.1 * jax.random.normal(jax.random.key(0), (6, 2))
    candidates = mppi.sample(c, plan, jax.random.key(1))
    costs = jnp.sum(candidates.actions**2, axis=(1, 2)).at[3].set(jnp.inf)
    after = mppi.update(c, plan, candidates, costs)
    np.testing.assert_array_equal(after.scores, mppi.update(fixed, plan, candidates, costs).scores)
    scores = np.delete(np.asarray(after.scores, float), 3)

    def shares(log):
        unscaled = np.exp(-(scores - scores.min()) / np.exp(log))
        return unscaled / unscaled.sum()

    root = brentq(lambda log: 1 / np.sum(shares(log) ** 2) - 20, -5, 8)
    np.testing.assert_allclose(np.delete(after.weights, 3), shares(root), rtol=2e-3)
    info = diagnose(after)
    np.testing.assert_allclose(info.effective_sample_size, 20, rtol=1e-3)
    assert info.misses_target == 0
    args = (lambda actions: jnp.sum(actions**2, axis=(1, 2)), 1, plan, jax.random.key(2))
    values = [state_value(mppi.MPPI, each, *args, iterations=1)[0] for each in (c, fixed)]
    assert values[0] == values[1]


@pytest.mark.parametrize(
    ('fields', 'finite'), [({'temperature_high': 1.0}, 50), ({'target_ess': 40.0}, 10), ({}, 0)]
)
def test_a_target_out_of_reach_is_reported(fields, finite):
    c = dataclasses.replace(ASKED, **({'num_samples': 50, 'target_ess': 30.0} | fields))
    scores = jnp.where(jnp.arange(50) < finite, 100.0 * jnp.arange(50), jnp.inf)
    shares = weights(c, scores)
    assert np.isfinite(shares).all() and misses_target(c, shares)
