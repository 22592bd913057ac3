"""Plans carried out on one model, against the steps they are made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, rollout
from tests.conftest import at


def test_rollout_reads_costs_before_and_the_state_after_each_step(equations_pendulum):
    simulator, model = equations_pendulum, equations_pendulum.true_model()
    state, actions = at(simulator, 1.0, -2.0), jnp.array([[0.5], [-1.0], [0.2]])
    result = rollout(simulator, model, state, actions)
    for action, cost in zip(actions, result.costs, strict=True):
        following, reading = simulator.step(model, state, action)
        assert np.isclose(cost, simulator.task.cost(reading, (), action))
        state = following
    np.testing.assert_allclose(result.state.qpos, state.qpos, rtol=1e-5)
    np.testing.assert_allclose(result.reading.qvel, state.qvel, rtol=1e-5)


@pytest.mark.parametrize('backend', ['equations', 'mujoco'])
@pytest.mark.parametrize('count', [0, 3])
def test_a_rollout_keeps_what_lies_along_it_where_asked(pendulum, backend, count):
    simulator = make_simulator(pendulum, PhysicsConfig(backend=backend))
    model, state = simulator.true_model(), at(simulator, 1.0, -2.0)
    actions = jnp.array([[0.5], [-1.0], [0.2]])[:count]
    asked = rollout(simulator, model, state, actions, keep=True)
    plain = rollout(simulator, model, state, actions)
    assert plain.along is None
    np.testing.assert_array_equal(asked.costs, plain.costs)
    for t in range(count + 1):
        angle, speed = float(state.qpos[0]), float(state.qvel[0])
        along = jax.tree.map(lambda x, t=t: x[t], asked.along)
        for found in (along.states, along.readings):
            assert np.isclose(found.qpos[0], angle, rtol=1e-5)
            assert np.isclose(found.qvel[0], speed, rtol=1e-5)
        expected = [np.cos(angle), np.sin(angle), speed]
        np.testing.assert_allclose(np.sort(along.observations), np.sort(expected), rtol=1e-4)
        if t < count:
            state, _ = simulator.step(model, state, actions[t])
