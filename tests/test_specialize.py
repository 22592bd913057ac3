"""Partial evaluation leaves a function's results as they were, and its constants out of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.base.batching import map_in_chunks
from mpq_jax.dynamics.specialize import specialize

TABLE = np.arange(12.0, dtype=np.float32).reshape(3, 4)


def busy(x, y):
    """Constants, nested jits, a loop, a result nobody reads, and one that depends on nothing."""
    index = jnp.argmax(jnp.sum(jnp.asarray(TABLE), axis=0))
    weights = jnp.linalg.inv(jnp.asarray(TABLE[:, :3]) + 10.0 * jnp.eye(3))
    once = jax.jit(lambda a, b: jnp.where(a > 0, a @ b, jnp.take(b, index - 1, axis=0)))(x, weights)
    looped = jax.lax.fori_loop(0, 4, lambda i, a: a * 0.5 + i + y['z'], once)
    unread = jnp.sort(jnp.exp(x))
    del unread
    return {'result': looped, 'constant': weights[0]}, y['z'] * 2


@pytest.mark.parametrize('axes', [(), (3,), (2, 3)])
def test_results_stay_the_same_alone_and_in_nested_batches(axes):
    x, y = jnp.array([0.3, -0.2, 0.9]), {'z': jnp.float32(0.7)}
    functions = [busy, specialize(busy, x, y)]
    noise = jax.random.normal(jax.random.key(0), (*axes, 4))
    given = x + noise[..., :3], {'z': y['z'] + noise[..., 3]}
    for _ in axes:
        functions = [jax.vmap(fn) for fn in functions]
    want, got = (jax.jit(fn)(*given) for fn in functions)
    for one, other in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-6)


def test_constants_are_folded_and_dead_code_is_gone():
    x, y = jnp.array([0.3, -0.2, 0.9]), {'z': jnp.float32(0.7)}
    names = {
        equation.primitive.name
        for equation in jax.make_jaxpr(specialize(busy, x, y))(x, y).jaxpr.eqns
    }
    assert not names & {'sort', 'exp', 'argmax', 'lu', 'jit', 'pjit'}
    assert {'dot_general', 'select_n'} <= names


def test_the_function_is_traced_once():
    traces = []

    def counted(x):
        traces.append(1)
        return x + 1

    lean = specialize(counted, jnp.zeros(2))
    jax.jit(lean)(jnp.zeros(2))
    jax.vmap(lean)(jnp.zeros((3, 2)))
    assert len(traces) == 1


def test_mjx_step_is_lean(mjx_pendulum):
    state = jax.eval_shape(lambda: mjx_pendulum.state(mjx_pendulum.task.reset(jax.random.key(0))))
    model = mjx_pendulum.true_model()
    lean = jax.make_jaxpr(mjx_pendulum.step)(model, state, jnp.zeros(1))
    names = [equation.primitive.name for equation in lean.jaxpr.eqns]
    assert 'round' in names  # a sine, written out
    assert 'jit' not in names and 'pjit' not in names
    assert len(names) < 1500  # of about 4000


def test_chunks_cover_every_item():
    items = {'a': jnp.arange(10.0), 'b': jnp.arange(20.0).reshape(10, 2)}
    want = items['a'] * 2 + items['b'].sum(axis=1)
    for chunk in (0, 1, 4, 5, 10, 99):
        got = map_in_chunks(lambda item: item['a'] * 2 + item['b'].sum(), items, chunk)
        np.testing.assert_allclose(got, want)
