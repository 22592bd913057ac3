"""The sines and cosines of straight-line physics against NumPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.dynamics.straight_line import straight_line, trigonometry


@pytest.mark.parametrize('name', ['sin', 'cos'])
@pytest.mark.parametrize('reach', [0.01, 4.0, 1e3, 1e5])
def test_they_are_those_of_numpy(name, reach):
    angles = np.random.default_rng(0).uniform(-reach, reach, 200_000).astype(np.float32)
    ours, theirs = jax.jit(getattr(trigonometry, name)), getattr(np, name)
    np.testing.assert_allclose(ours(angles), theirs(angles.astype(float)), atol=2e-7, rtol=0)
    tiny = np.float32([0.0, 1e-30, -3e-5])
    np.testing.assert_allclose(ours(tiny), theirs(tiny), rtol=1e-6)
    assert np.isnan(ours(jnp.array([jnp.inf, -jnp.inf, jnp.nan]))).all()


def test_straight_line_code_has_them_and_their_derivatives():
    """On a CPU; of float32 alone."""

    def fn(x):
        return jnp.sin(x) * jnp.cos(2.0 * x)

    x = jnp.linspace(-7.0, 7.0, 8)
    straight = straight_line(fn, x)
    jaxpr = str(jax.make_jaxpr(straight)(x))
    assert 'round' in jaxpr and ' sin ' not in jaxpr and ' cos ' not in jaxpr
    np.testing.assert_allclose(straight(x), fn(x), atol=5e-7)
    gradient = jax.grad(lambda x: straight(x).sum())(x)
    np.testing.assert_allclose(gradient, jax.grad(lambda x: fn(x).sum())(x), atol=1e-5)
