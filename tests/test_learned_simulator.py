"""Plans on an ensemble: coordinates against MuJoCo, particles against NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import DynamicsConfig, PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import State, make_simulator
from mpq_jax.dynamics.learned import (
    Ensemble,
    Member,
    Scales,
    coordinates_of,
    make_learned_simulator,
    mean_step,
)
from mpq_jax.planning.scoring import score
from tests.conftest import lq_task

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


# Networks without weights: member d always predicts a change of its own, with a known deviation.
DRIFTS = np.array([1.0, 10.0, 100.0, 1000.0])


def drifting(deviation=0.0, **fields):
    """A simulator, and its ensemble of networks whose outputs do not depend on their inputs."""
    config = DynamicsConfig(
        members=4, hidden_width=2, hidden_layers=1, learned_bounds=False, min_log_variance=-40.0,
        max_log_variance=40.0, **fields,
    )  # fmt: skip
    physics = make_simulator(lq_task(), PhysicsConfig(backend='equations'))
    simulator = make_learned_simulator(physics, config, corrects=False)
    network = simulator.dynamics.network
    params = network.init(jax.random.key(0), jnp.zeros(3))
    log_variance = 2 * np.log(deviation) if deviation else -40.0

    def member(drift):
        silent = jax.tree.map(jnp.zeros_like, params)
        bias = jnp.array([drift, 0.0, log_variance, -40.0])
        silent['params']['Dense_1']['bias'] = bias
        return Member(silent, Scales(jnp.zeros(3), jnp.ones(3), jnp.ones(2)))

    members = jax.tree.map(lambda *x: jnp.stack(x), *(member(drift) for drift in DRIFTS))
    return simulator, Ensemble(members, {})


def ways(simulator, ensemble, particles, steps=3, seed=0):
    """Positions `[P, T + 1]` of particles that start at zero."""
    start = simulator.state(mpq_jax.Start(jnp.zeros(1), jnp.zeros(1)))
    actions = jnp.zeros((particles, steps, 1))
    roll = jax.jit(simulator.particles)
    along = roll(ensemble, start, actions, jax.random.key(seed))
    return np.asarray(along.states.qpos[..., 0])


def test_a_particle_keeps_its_network():
    found = ways(*drifting(particles=8), particles=8)
    expected = np.arange(4) * DRIFTS[np.arange(8) % 4][:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_particles_change_networks_each_step_and_each_network_has_its_share():
    steps = np.diff(ways(*drifting(propagation='ts1', particles=8), particles=8, steps=30))
    for taken in steps.T:  # [T, P]
        np.testing.assert_allclose(np.sort(taken), np.sort(np.tile(DRIFTS, 2)), rtol=1e-3)
    used = [len(np.unique(np.round(np.log10(row)))) for row in steps]
    assert min(used) >= 3  # in thirty steps a particle has been with nearly all


def test_the_mean_of_the_networks_is_followed():
    simulator, ensemble = drifting(propagation='mean', particles=1)
    found = ways(simulator, ensemble, particles=1)
    np.testing.assert_allclose(found[0], DRIFTS.mean() * np.arange(4), rtol=1e-5)
    start = simulator.state(mpq_jax.Start(jnp.zeros(1), jnp.zeros(1)))
    one = mean_step(simulator.dynamics, ensemble, jax.tree.map(lambda x: x[None], start),
                    jnp.zeros((1, 1)))  # fmt: skip
    np.testing.assert_allclose(one.qpos[0, 0], DRIFTS.mean(), rtol=1e-6)


def test_noise_is_that_of_the_predicted_deviation():
    simulator, ensemble = drifting(deviation=2.0, particles=4000)
    spread = ways(simulator, ensemble, particles=4000, steps=4)[::4]  # of the first network
    np.testing.assert_allclose(spread.std(axis=0)[1:], 2.0 * np.sqrt([1, 2, 3, 4]), rtol=0.1)
    silent = drifting(deviation=2.0, particles=4, sample_noise=False)
    np.testing.assert_allclose(ways(*silent, particles=4), np.arange(4) * DRIFTS[:, None])


CONFIG = PlannerConfig(horizon=3, num_samples=8, discount=0.5)


def costs_of(simulator, ensemble, actions, seed=0):
    start = simulator.state(mpq_jax.Start(jnp.ones(1), jnp.zeros(1)))
    task = simulator.task
    scored = jax.jit(lambda key: score(
        CONFIG, simulator, task.cost, ensemble, start, actions, key=key
    ))  # fmt: skip
    return np.asarray(scored(jax.random.key(seed)))


def expected_costs(drifts, actions):
    """Cost q s^2 / 2 + r a^2 / 2 along s = 1 + t d, discounted, in NumPy."""
    states = 1.0 + np.arange(3) * np.asarray(drifts)[:, None]
    stage = 0.5 * states**2 + 0.05 * np.asarray(actions)[..., 0] ** 2
    return stage @ 0.5 ** np.arange(3)


ACTIONS = jax.random.uniform(jax.random.key(5), (8, 3, 1), minval=-1.0)


def test_a_plan_costs_the_mean_over_its_particles_in_whatever_order():
    simulator, ensemble = drifting(particles=8)
    found = costs_of(simulator, ensemble, ACTIONS)
    each = [expected_costs(np.full(8, drift), ACTIONS) for drift in DRIFTS]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)
    turned = jax.tree.map(lambda x: x[::-1], ensemble)
    np.testing.assert_allclose(costs_of(simulator, turned, ACTIONS), found, rtol=1e-5)


def test_without_particles_sample_n_is_rolled_out_on_network_n_mod_d():
    simulator, ensemble = drifting(particles=0)
    found = costs_of(simulator, ensemble, ACTIONS)
    np.testing.assert_allclose(found, expected_costs(np.tile(DRIFTS, 2), ACTIONS), rtol=1e-5)


def test_one_particle_that_is_not_finite_makes_its_plans_cost_infinite():
    simulator, ensemble = drifting(particles=4)
    bias = ensemble.member.params['params']['Dense_1']['bias']
    ensemble.member.params['params']['Dense_1']['bias'] = bias.at[2, 0].set(jnp.nan)
    assert np.isinf(costs_of(simulator, ensemble, ACTIONS)).all()


def test_networks_that_predict_nothing_leave_the_physics_as_they_are():
    """Residual mode: with networks of zero the plan's cost is that of the physics' draws."""
    physics = make_simulator(lq_task(), PhysicsConfig(backend='equations'))
    silent, ensemble = drifting(particles=4, sample_noise=False)
    config = silent.dynamics.config
    simulator = make_learned_simulator(physics, config, corrects=True)
    members = jax.tree.map(jnp.zeros_like, ensemble.member)
    scales = Scales(jnp.zeros((4, 3)), jnp.ones((4, 3)), jnp.ones((4, 2)))
    corrected = costs_of(simulator, Ensemble(members._replace(scales=scales), {}), ACTIONS)
    plain = costs_of(physics, {}, ACTIONS)
    np.testing.assert_allclose(corrected, plain, rtol=1e-5)
