"""What networks are shown of a state, and the changes they predict, against MuJoCo."""

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.dynamics import State
from mpq_jax.dynamics.learned import coordinates_of

JOINTS = """
<mujoco>
  <worldbody>
    <body><freejoint/><geom size="0.1"/></body>
    <body>
      <joint type="slide" axis="1 0 0"/><geom size="0.1"/>
      <body pos="0 0 1"><joint type="ball"/><geom size="0.1"/>
        <body pos="0 0 1"><joint name="h" type="hinge" axis="0 1 0"/><geom size="0.1"/></body>
      </body>
    </body>
  </worldbody>
  <actuator><motor joint="h" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def joints_task(**fields):
    model = mujoco.MjModel.from_xml_string(JOINTS)
    return mpq_jax.Task(
        name='joints', mjcf=JOINTS, episode_steps=5, control_timestep=0.002,
        reset=lambda key: mpq_jax.Start(jnp.asarray(model.qpos0), jnp.zeros(model.nv)),
        observe=lambda reading, variables: reading.qpos,
        cost=lambda reading, variables, action: reading.qpos[0] ** 2, **fields,
    )  # fmt: skip


def random_states(model, count=20):
    """Positions somewhere, and turns of less than half a rotation from each to the next."""
    rng, states = np.random.default_rng(0), []
    for _ in range(count):
        qpos = model.qpos0.copy()
        mujoco.mj_integratePos(model, qpos, rng.normal(size=model.nv), 1.0)
        following = qpos.copy()
        mujoco.mj_integratePos(model, following, 0.5 * rng.normal(size=model.nv), 1.0)
        states.append((qpos, following, rng.normal(size=model.nv), rng.normal(size=model.nv)))
    return states


def as_state(qpos, qvel):
    f = np.float32
    return State(jnp.asarray(qpos, f), jnp.asarray(qvel, f), jnp.zeros(0), jnp.zeros(len(qvel)))


def test_changes_are_mujocos_for_every_kind_of_joint():
    model = mujoco.MjModel.from_xml_string(JOINTS)
    coordinates = coordinates_of(joints_task())
    change, moved = jax.jit(coordinates.change), jax.jit(coordinates.moved)
    for qpos, after, qvel, later in random_states(model):
        expected = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, expected, 1.0, qpos, after)
        state = as_state(qpos, qvel)
        found = change(state, as_state(after, later))
        np.testing.assert_allclose(found, np.concatenate([expected, later - qvel]), atol=2e-5)
        there = moved(state, found)
        np.testing.assert_allclose(there.qvel, later, atol=1e-5)
        left = np.zeros(model.nv)
        mujoco.mj_differentiatePos(model, left, 1.0, np.asarray(there.qpos, float), after)
        np.testing.assert_allclose(left, 0.0, atol=2e-5)


def test_no_change_leaves_a_state_where_it_is():
    model = mujoco.MjModel.from_xml_string(JOINTS)
    coordinates = coordinates_of(joints_task())
    for qpos, _, qvel, _ in random_states(model, 3):
        state = as_state(qpos, qvel)
        same = coordinates.moved(state, jnp.zeros(2 * model.nv))
        np.testing.assert_allclose(same.qpos, state.qpos, atol=1e-6)
        np.testing.assert_array_equal(same.qvel, state.qvel)


def test_features_turn_with_a_hinge_and_do_not_tell_q_from_minus_q():
    model = mujoco.MjModel.from_xml_string(JOINTS)
    features = coordinates_of(joints_task()).features
    qpos, _, qvel, _ = random_states(model, 1)[0]
    here = features(as_state(qpos, qvel))
    assert here.shape == (7 + 1 + 4 + 2 + model.nv,)
    other = qpos.copy()
    other[3:7] *= -1
    other[8:12] *= -1
    other[12] += 2 * np.pi
    np.testing.assert_allclose(features(as_state(other, qvel)), here, atol=1e-5)
    np.testing.assert_allclose(here[12:14], [np.sin(qpos[12]), np.cos(qpos[12])], atol=1e-6)


def test_a_tasks_own_features_stand_in_their_place():
    task = joints_task(dynamics_features=lambda qpos, qvel, variables: jnp.tanh(qvel[:2]))
    features = coordinates_of(task).features
    qvel = np.arange(10.0)
    np.testing.assert_allclose(features(as_state(np.zeros(13), qvel)), np.tanh(qvel[:2]), atol=1e-6)


def test_activations_are_refused_by_name():
    text = JOINTS.replace('<motor joint="h" ctrlrange="-1 1"/>', '<general joint="h" '
                          'ctrlrange="-1 1" dyntype="integrator"/>')  # fmt: skip
    task = dataclasses.replace(joints_task(), mjcf=text)
    with pytest.raises(mpq_jax.TaskError, match='1 actuators have activations'):
        coordinates_of(task)
