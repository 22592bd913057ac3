"""PETS's cartpole against closed forms, a model written out here and native MuJoCo."""

import copy

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.tasks import Reading, Start, load_task

LENGTH, RADIUS = np.hypot(0.6, 0.001), 0.049  # the published pole leans by a millimetre
# Without the motor, its force is applied; {} is the pole's end and its mass.
WRITTEN_OUT = """
<mujoco>
  <option timestep="0.02" integrator="RK4"><flag contact="disable"/></option>
  <worldbody>
    <body>
      <joint type="slide" axis="1 0 0" damping="1" range="-2.5 2.5"/>
      <geom type="capsule" quat="1 0 1 0" size="0.1 0.1"/>
      <body>
        <joint axis="0 1 0" damping="1"/>
        <geom type="capsule" fromto="0 0 0 {}" size="0.049" mass="{}"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope='module')
def task():
    return load_task('cartpole_swingup')


@pytest.fixture(scope='module')
def model(task):
    return load_model(task, PhysicsConfig())


@pytest.fixture(scope='module')
def step(task):
    """A native control step: states and actions `[N, ...]` -> states `[N, 4]`."""
    simulator = make_simulator(task, PhysicsConfig(backend='mujoco'))

    def one(values, state, action):
        model = simulator.make_models({k: v[None] for k, v in values.items()})[0]
        start = simulator.state(Start(state[:2], state[2:]))
        after, _ = simulator.step(model, start, action[None])
        return jnp.concatenate([after.qpos, after.qvel])

    return jax.jit(jax.vmap(one))


def capsule_mass(radius, length):
    return 1000.0 * np.pi * radius**2 * (length + 4 / 3 * radius)


def capsule_inertia(radius, length):
    """About an axis across its middle, as a pile of thin discs."""
    edges = np.linspace(-length / 2 - radius, length / 2 + radius, 200_001)
    z = (edges[1:] + edges[:-1]) / 2
    r2 = radius**2 - np.maximum(np.abs(z) - length / 2, 0.0) ** 2
    return 1000.0 * np.pi * np.sum(r2 * (r2 / 4 + z**2)) * (edges[1] - edges[0])


def written_out(mass=1.0, length=1.0):
    end = f'{0.001 * length} 0 {-0.6 * length}'
    kilograms = mass * capsule_mass(RADIUS, LENGTH)
    return mujoco.MjModel.from_xml_string(WRITTEN_OUT.format(end, kilograms))


def random_states(count, seed=0):
    high = np.array([2.0, 6.0, 3.0, 8.0])
    random = np.random.default_rng(seed)
    return random.uniform(-high, high, (count, 4)), random.uniform(-1, 1, count)


def reading_of(state):
    return Reading(jnp.asarray(state[:2]), jnp.asarray(state[2:]), {})


def test_constants(task, model):
    np.testing.assert_allclose(model.body('cart').mass, capsule_mass(0.1, 0.2), rtol=1e-12)
    np.testing.assert_allclose(model.body('pole').mass, capsule_mass(RADIUS, LENGTH), rtol=1e-12)
    assert (model.opt.timestep, model.opt.integrator) == (0.02, mujoco.mjtIntegrator.mjINT_RK4)
    np.testing.assert_array_equal(model.opt.gravity, [0, 0, -9.81])
    np.testing.assert_array_equal(model.dof_damping, [1, 1])
    assert not model.dof_armature.any() and not model.dof_frictionloss.any()
    assert not model.geom_contype.any() and not model.geom_conaffinity.any()
    assert model.jnt_limited.tolist() == [1, 0]
    np.testing.assert_array_equal(model.joint('slider').range, [-2.5, 2.5])
    assert model.actuator_gear[0, 0] == 100
    np.testing.assert_array_equal(model.actuator_ctrlrange, [[-3, 3]])
    assert (task.episode_steps, task.control_timestep) == (200, 0.04)


def test_a_step_is_that_of_the_equations_of_motion(step):
    cart, pole, half = capsule_mass(0.1, 0.2), capsule_mass(RADIUS, LENGTH), LENGTH / 2
    about_hinge = capsule_inertia(RADIUS, LENGTH) + pole * half**2
    lean = -np.arcsin(0.001 / LENGTH)

    def rate(state, force):
        _, angle, speed, turning = state
        sine, cosine = np.sin(angle + lean), np.cos(angle + lean)
        coupling = -pole * half * cosine
        pushed = [
            force - speed - pole * half * sine * turning**2,
            -turning - pole * 9.81 * half * sine,
        ]
        inertia = [[cart + pole, coupling], [coupling, about_hinge]]
        return np.concatenate([state[2:], np.linalg.solve(inertia, pushed)])

    states, actions = random_states(30)
    expected = []
    for state, action in zip(states, actions, strict=True):
        for _ in range(2):
            k1 = rate(state, 300 * action)
            k2 = rate(state + 0.01 * k1, 300 * action)
            k3 = rate(state + 0.01 * k2, 300 * action)
            k4 = rate(state + 0.02 * k3, 300 * action)
            state = state + 0.02 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        expected.append(state)
    ones = {'mass_scale': np.ones(30), 'length_scale': np.ones(30)}
    np.testing.assert_allclose(step(ones, states, actions), expected, rtol=2e-6, atol=2e-5)


def test_models_and_the_rails_end_are_those_of_a_compiled_mjcf(step):
    states, actions = random_states(30, seed=1)
    states[:10, 0], states[:10, 2], actions[:10] = 2.45, 3.0, 1.0
    scales = np.random.default_rng(2).uniform(1.0, 1.5, (2, 30))
    after = step({'mass_scale': scales[0], 'length_scale': scales[1]}, states, actions)
    for i, (state, action) in enumerate(zip(states, actions, strict=True)):
        model = written_out(*scales[:, i])
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:], data.qfrc_applied[0] = state[:2], state[2:], 300 * action
        mujoco.mj_step(model, data, nstep=2)
        expected = np.concatenate([data.qpos, data.qvel])
        np.testing.assert_allclose(after[i], expected, rtol=1e-5, atol=2e-5)
    assert (after[:10, 2] < 3.0).all()  # stopped, at full force


def test_the_equations_are_native_mujocos_but_for_the_rails_end(task, step):
    states, actions = random_states(50, seed=3)
    scales = np.random.default_rng(4).uniform(1.0, 1.5, (2, 50))
    values = {'mass_scale': scales[0], 'length_scale': scales[1]}
    one = lambda v, s, a: jnp.concatenate(task.equations(v, s[:2], s[2:], a[None]))  # noqa: E731
    ours = jax.jit(jax.vmap(one))(values, states, actions)
    np.testing.assert_allclose(ours, step(values, states, actions), rtol=1e-4, atol=1e-4)


def test_a_longer_and_heavier_pole(task, model):
    same, other = copy.copy(model), copy.copy(model)
    task.set_parameters(same, task.true_parameters)
    task.set_parameters(other, {'mass_scale': 1.3, 'length_scale': 1.4})
    expected = written_out(1.3, 1.4)
    for name in ('body_mass', 'body_inertia', 'body_ipos', 'geom_pos', 'geom_size', 'geom_rbound'):
        np.testing.assert_array_equal(getattr(same, name), getattr(model, name))
        ours, compiled = getattr(other, name)[-1], getattr(expected, name)[-1]
        np.testing.assert_allclose(ours, compiled, rtol=1e-12)
    assert all(p.low <= p.true_value <= p.high for p in task.parameters)


def test_the_pole_hangs_at_angle_zero(task, model):
    """Where MuJoCo has the pole's end; the cost knows nothing of the millimetre."""
    data = mujoco.MjData(model)
    for state, _ in zip(*random_states(20), strict=True):
        data.qpos[:] = state[:2]
        mujoco.mj_kinematics(model, data)
        geom = data.geom('pole')
        ends = geom.xpos + np.array([[1.0], [-1.0]]) * LENGTH / 2 * geom.xmat.reshape(3, 3)[:, 2]
        end = ends[np.argmax(np.linalg.norm(ends - data.body('pole').xpos, axis=1))]
        distance = np.linalg.norm(end[[0, 2]] - [0.0, 0.6])
        cost = task.cost(reading_of(state), (), jnp.zeros(1))
        np.testing.assert_allclose(cost, -np.exp(-(distance**2) / 0.36), atol=2e-3)
    hanging, upright = np.zeros(4), np.array([0.0, np.pi, 0.0, 0.0])
    np.testing.assert_allclose(task.cost(reading_of(hanging), (), jnp.zeros(1)), -np.exp(-4.0))
    np.testing.assert_allclose(task.cost(reading_of(upright), (), jnp.zeros(1)), -1.0)
    np.testing.assert_allclose(task.cost(reading_of(upright), (), jnp.ones(1)), -0.91, rtol=1e-6)
    assert task.success(reading_of(upright), ()) and not task.success(reading_of(hanging), ())
    assert not task.success(reading_of([0.16, np.pi, 0.0, 0.0]), ())


def test_the_return_is_petss_but_for_the_first_and_last_state(task):
    """Of any states and controls: theirs pays for s_{t+1}."""
    states, actions = random_states(201, seed=3)
    costs = jax.vmap(lambda s, a: task.cost(Reading(s[:2], s[2:], {}), (), a[None]))(
        states[:-1], actions[:-1]
    )
    ends = states[:, :1] - 0.6 * np.sin(states[:, 1:2]), -0.6 * np.cos(states[:, 1:2])
    squared = np.sum((np.concatenate(ends, axis=1) - [0.0, 0.6]) ** 2, axis=1)
    upright = np.exp(-squared / 0.6**2)
    theirs = np.sum(upright[1:]) - 0.01 * np.sum((3.0 * actions[:-1]) ** 2)
    np.testing.assert_allclose(-costs.sum(), theirs + upright[0] - upright[-1], rtol=1e-4)


def test_starts_and_observations(task):
    starts = jax.vmap(task.reset)(jax.random.split(jax.random.key(0), 4000))
    states = np.concatenate([starts.qpos, starts.qvel], axis=1)
    np.testing.assert_allclose(states.mean(axis=0), 0.0, atol=0.01)
    np.testing.assert_allclose(np.cov(states.T), 0.01 * np.eye(4), atol=1e-3)
    seen = task.observe(reading_of([0.3, 7.0, -1.0, 2.0]), ())
    np.testing.assert_allclose(seen, [0.3, np.cos(7), np.sin(7), -1.0, 2.0], rtol=1e-5)


def test_the_preset_pets_has_petss_sizes():
    for agent in ('mpq', 'mppi'):
        planner = mpq_jax.preset('cartpole_swingup', agent, 'pets').validate().planner
        assert (planner.name, planner.num_samples, planner.iterations) == ('cem', 400, 5)
        assert round(planner.elite_fraction * planner.num_samples) == 40
        assert planner.horizon - 1 == 25 and planner.discount == 1.0
        np.testing.assert_allclose(planner.noise_variance, (1 - -1) ** 2 / 16)
        assert planner.step_size == planner.covariance_step_size == 1.0 - 0.1
    for agent in ('mpq', 'mppi', 'softq', 'none'):
        mpq_jax.preset('cartpole_swingup', agent).validate()
