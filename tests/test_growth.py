"""What a long life of a process holds: threads and models of native physics are bounded."""

import weakref

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, native_simulator


def step(simulator, masses):
    """Next speeds `[M]` of models that differ in mass."""
    state = simulator.state(mpq_jax.Start(jnp.ones(1), jnp.zeros(1)))
    values = {'mass': jnp.asarray(masses), 'length': jnp.ones(len(masses))}
    many = jax.vmap(simulator.step, in_axes=(0, None, None))
    return np.asarray(many(simulator.make_models(values), state, jnp.ones(1))[0].qvel)[:, 0]


def test_simulators_share_their_threads(pendulum):
    timesteps = 0.05, 0.025, 0.0125, 0.01, 0.005
    kept = [make_simulator(pendulum, PhysicsConfig('mujoco', timestep=t)) for t in timesteps]
    step(kept[0], [1.0])
    before = psutil.Process().num_threads()
    for simulator in kept[1:]:
        step(simulator, [1.0])
    assert psutil.Process().num_threads() == before


@pytest.mark.parametrize('calls', [[2] * 10, [6, 6, 6]])
def test_models_that_were_long_not_used_are_let_go(pendulum, monkeypatch, calls):
    """At most four stay, or as many as a call needs."""
    alive, edited = weakref.WeakSet(), native_simulator.edited_model

    def counted(*args):
        model = edited(*args)
        alive.add(model)
        return model

    monkeypatch.setattr(native_simulator, '_MOST_MODELS', 4)
    monkeypatch.setattr(native_simulator, 'edited_model', counted)
    simulator = make_simulator(pendulum, PhysicsConfig('mujoco'))
    for i, count in enumerate(calls):
        masses = np.linspace(0.5, 1.5, count) + 0.01 * i
        speeds = step(simulator, masses)
        assert len(alive) <= max(4, count) and len(set(speeds.tolist())) == count
