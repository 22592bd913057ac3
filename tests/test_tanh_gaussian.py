"""Actions in the box, against integrals and the Gaussian beneath."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mpq_jax.learning.policies.tanh_gaussian import TanhGaussian


def density(distribution, action):
    """At one action of one entry."""
    return float(jnp.exp(distribution.log_density(jnp.arctanh(jnp.array([action])))))


@pytest.mark.parametrize(('mean', 'deviation'), [(0.0, 1.0), (0.8, 0.4), (-1.5, 0.7)])
def test_the_density_integrates_to_the_gaussians_probabilities(mean, deviation):
    distribution = TanhGaussian(jnp.array([mean]), jnp.log(jnp.array([deviation])))
    density_of = jax.jit(
        lambda action: jnp.exp(distribution.log_density(jnp.arctanh(action[None])))
    )
    for low, high in ((-0.999, 0.999), (-0.3, 0.5), (0.5, 0.99)):
        integral, _ = quad(lambda a: float(density_of(jnp.float32(a))), low, high, epsabs=1e-6)
        gaussian = norm(mean, deviation)
        expected = gaussian.cdf(np.arctanh(high)) - gaussian.cdf(np.arctanh(low))
        np.testing.assert_allclose(integral, expected, atol=2e-5)


def test_entries_are_independent():
    one = TanhGaussian(jnp.array([0.3]), jnp.array([-1.0]))
    other = TanhGaussian(jnp.array([-0.5]), jnp.array([0.2]))
    both = TanhGaussian(jnp.array([0.3, -0.5]), jnp.array([-1.0, 0.2]))
    product = density(one, 0.4) * density(other, -0.9)
    joint = float(jnp.exp(both.log_density(jnp.arctanh(jnp.array([0.4, -0.9])))))
    np.testing.assert_allclose(joint, product, rtol=1e-5)


def test_samples_are_in_the_box_with_the_entropy_of_the_integral():
    distribution = TanhGaussian(jnp.full((20_000, 1), 0.5), jnp.full((20_000, 1), -0.5))
    actions, log_density = distribution.sample(jax.random.key(0))
    assert actions.shape == (20_000, 1) and float(jnp.abs(actions).max()) <= 1.0
    # E[log p] of x minus that of the stretch log(1 - tanh(x)^2), integrated over x.
    gaussian = norm(0.5, np.exp(-0.5))
    stretch, _ = quad(lambda x: gaussian.pdf(x) * np.log1p(-(np.tanh(x) ** 2)), -5, 6)
    negentropy = -gaussian.entropy() - stretch
    error = float(log_density.std()) / np.sqrt(20_000)
    assert abs(float(log_density.mean()) - negentropy) < 4 * error
    assert float(jnp.abs(distribution.mode - jnp.tanh(0.5)).max()) < 1e-6


def test_far_out_it_is_still_a_number():
    wide = TanhGaussian(jnp.array([30.0]), jnp.array([2.0]))
    log_density, slope = jax.value_and_grad(lambda x: wide._replace(mean=x).log_density(x + 20.0))(
        wide.mean
    )
    deviation = np.exp(2.0)
    # log(1 - tanh(x)^2) is log 4 - 2 x there.
    expected = norm(0.0, deviation).logpdf(20.0) - (np.log(4.0) - 2.0 * 50.0)
    np.testing.assert_allclose(float(log_density), expected, rtol=1e-5)
    np.testing.assert_allclose(slope, [2.0], rtol=1e-5)
