"""The activation of Q against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.learning.q_function import tanh


def test_tanh_is_numpys_to_rounding_and_so_is_its_slope():
    x = np.concatenate(
        [np.linspace(-12, 12, 100_001), np.geomspace(1e-30, 1e-2, 50), [0.0, np.inf]]
    )
    x = x.astype(np.float32)
    true = np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(jax.jit(tanh)(x), true, rtol=5e-7, atol=3e-7)
    slope = jax.jit(jax.vmap(jax.grad(tanh)))(x)
    np.testing.assert_allclose(slope, 1 - true**2, atol=1e-6)


def test_tanh_of_nan_is_nan_and_never_leaves_one():
    assert np.isnan(tanh(jnp.nan))
    assert np.abs(tanh(jnp.linspace(7, 100, 1000))).max() <= 1 + 2e-7
