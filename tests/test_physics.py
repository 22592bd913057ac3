"""The simulators against Gymnasium, native MuJoCo and closed forms."""

import copy

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator, rollout
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.suite.pendulum import observe
from mpq_jax.tasks import RandomizedParameter, Reading, Start, Task
from tests.conftest import at, lq_task, sample_plans

STEPS = 200


@pytest.fixture(scope='module')
def gym_steps():
    """200 of Gymnasium's steps under random torques: states, actions, next states, rewards."""
    environment = gymnasium.make('Pendulum-v1', g=10.0, max_episode_steps=STEPS).unwrapped
    environment.reset(seed=3)
    random = np.random.default_rng(0)
    states, actions, following, rewards, observations = [], [], [], [], []
    environment.state = np.array([np.pi, 1.0])
    for t in range(STEPS):
        states.append(environment.state.copy())
        pumping = np.sign(environment.state[1])
        action = pumping if t < STEPS // 2 else random.uniform(-1.0, 1.0)
        observation, reward, *_ = environment.step(np.array([2.0 * action]))
        actions.append([action])
        following.append(environment.state.copy())
        observations.append(observation)
        rewards.append(reward)
    speeds = np.abs(np.array(following)[:, 1])
    assert (speeds == 8.0).any() and (speeds < 8.0).any()  # both sides of the limit are tested
    return tuple(np.array(x) for x in (states, actions, following, rewards, observations))


def tiled(tree, count):
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *x.shape)), tree)


def batch_of_states(simulator, states):
    states = jnp.asarray(states, jnp.float32)
    return jax.vmap(lambda s: simulator.state(Start(s[:1], s[1:])))(states)


@pytest.mark.parametrize('backend', ['mjx', 'equations'])
def test_pendulum_steps_like_gymnasium(backend, request, gym_steps):
    simulator = request.getfixturevalue(f'{backend}_pendulum')
    step = request.getfixturevalue('mjx_step') if backend == 'mjx' else jax.vmap(simulator.step)
    states, actions, following, rewards, observations = gym_steps
    after, reading = step(
        tiled(simulator.true_model(), STEPS),
        batch_of_states(simulator, states),
        jnp.asarray(actions, jnp.float32),
    )
    np.testing.assert_allclose(after.qpos[:, 0], following[:, 0], atol=1e-5)
    np.testing.assert_allclose(after.qvel[:, 0], following[:, 1], atol=1e-5)
    seen = jax.vmap(observe, in_axes=(0, None))(Reading(after.qpos, after.qvel, {}), ())
    np.testing.assert_allclose(seen, observations, atol=1e-5)
    # Gymnasium's reward has a torque term that the task's cost leaves out.
    costs = jax.vmap(simulator.task.cost, in_axes=(0, None, 0))(reading, (), actions)
    torque_cost = 0.001 * (2.0 * actions[:, 0]) ** 2
    np.testing.assert_allclose(costs + torque_cost, -rewards, rtol=1e-5, atol=1e-5)


def test_randomized_models_step_like_native_mujoco(pendulum, mjx_pendulum, mjx_step):
    values = draw_parameters(pendulum, jax.random.key(1), STEPS)
    random = np.random.default_rng(1)
    states = random.uniform([-np.pi, -7.0], [np.pi, 7.0], (STEPS, 2))
    actions = random.uniform(-1.0, 1.0, (STEPS, 1))
    after, _ = mjx_step(
        mjx_pendulum.make_models(values),
        batch_of_states(mjx_pendulum, states),
        jnp.asarray(actions, jnp.float32),
    )
    nominal = mujoco.MjModel.from_xml_path(str(pendulum.mjcf))
    for i in range(0, STEPS, 10):
        model = copy.copy(nominal)
        pendulum.set_parameters(model, {name: value[i] for name, value in values.items()})
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        data.qpos[:], data.qvel[:], data.ctrl[:] = states[i, 0], states[i, 1], 2.0 * actions[i]
        mujoco.mj_step(model, data)
        qpos, qvel = pendulum.after_physics_step(data.qpos, data.qvel, model.opt.timestep)
        np.testing.assert_allclose(after.qpos[i], qpos, atol=1e-5)
        np.testing.assert_allclose(after.qvel[i], qvel, atol=1e-5)
        # Constants that follow from the parameters: a rod about its end.
        inertia = values['mass'][i] * values['length'][i] ** 2 / 3
        np.testing.assert_allclose(model.dof_M0, inertia, rtol=1e-6)


def test_constants_that_depend_on_parameters_are_not_stale(pendulum, mjx_pendulum):
    """Among the stacked leaves is dof_invweight0 = 1 / (m l^2 / 3), which mj_setConst makes."""
    models = mjx_pendulum.make_models({'mass': np.array([1.3]), 'length': np.array([0.9])})
    inverse_weight = 3 / (1.3 * 0.9**2)
    scalars = [float(leaf[0, 0]) for leaf in models if leaf.shape == (1, 1)]
    assert any(np.isclose(value, inverse_weight, rtol=1e-5) for value in scalars)


def test_draws_are_uniform_in_the_tasks_ranges(pendulum):
    values = draw_parameters(pendulum, jax.random.key(0), 4000)
    for parameter in pendulum.parameters:
        draws = values[parameter.name]
        assert parameter.low <= draws.min() and draws.max() <= parameter.high
        width = parameter.high - parameter.low
        assert np.isclose(draws.mean(), (parameter.low + parameter.high) / 2, atol=0.02)
        assert np.isclose(draws.std(), width / np.sqrt(12), rtol=0.05)


CART = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <body>
      <joint name="x" type="slide" axis="1 0 0"/>
      <geom size="0.1" mass="2"/>
      <site name="tip"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" {limit}/></actuator>
  <sensor>{sensor}</sensor>
</mujoco>
"""
LIMIT = 'ctrllimited="true" ctrlrange="-1 3"'
POSITION = '<jointpos name="x" joint="x"/>'


def cart(limit=LIMIT, sensor=POSITION, **fields):
    text = CART.format(limit=limit, sensor=sensor)
    return lq_task(name='cart', equations=None, mjcf=text, control_timestep=0.04, **fields)


def test_several_physics_steps_a_control_step_and_sensors_of_the_state_before():
    """A cart under constant force: v = F t / m, with action 0.5 of [-1, 3] being a force of 2."""
    simulator = make_simulator(cart())
    assert simulator.steps_per_control == 4
    state = at(simulator, 0.7, 0.0)
    after, reading = jax.jit(simulator.step)(simulator.true_model(), state, jnp.array([0.5]))
    assert np.isclose(after.qvel[0], 2.0 / 2.0 * 0.04, rtol=1e-5)
    assert np.isclose(reading.sensors['x'][0], 0.7)
    assert np.isclose(simulator.read(simulator.true_model(), after).sensors['x'][0], after.qpos[0])


@pytest.mark.parametrize(('plant', 'horizon'), [('pendulum', 8), ('cart', 8), ('cart', 1)])
def test_native_backend_scores_plans_like_mjx(plant, horizon, request):
    """Costs of plans on four model draws, nested batches and all; sensors and a hook in between.

    At a horizon of one nothing moves: a reading for each start and draw, shared by the samples.
    """
    task = request.getfixturevalue('pendulum') if plant == 'pendulum' else movable_cart()
    config = PlannerConfig(horizon=horizon, num_samples=8)
    values = draw_parameters(task, jax.random.key(1), 4)
    starts = jax.vmap(task.reset)(jax.random.split(jax.random.key(2), 3))
    scores = {}
    for backend in ('mjx', 'mujoco'):
        simulator = make_simulator(task, PhysicsConfig(backend=backend))
        models = simulator.make_models(values)

        def score(start, simulator=simulator, models=models):
            state, key = simulator.state(start), jax.random.key(3)
            controls = jnp.full((horizon, 1), 0.2)
            return sample_plans(config, simulator, task.cost, models, state, controls, key)

        scores[backend] = np.asarray(jax.jit(jax.vmap(score))(starts).scores)
    assert np.ptp(scores['mjx']) > 0.1
    np.testing.assert_allclose(scores['mujoco'], scores['mjx'], rtol=2e-4, atol=2e-4)


def movable_cart():
    """A cart of unknown mass and length whose cost reads a sensor at its tip."""

    def set_mass(model, values):
        model.body_mass[1] = values['mass']
        model.site_pos[0, 0] = 0.3 * values['mass']

    return cart(
        sensor='<framepos name="x" objtype="site" objname="tip"/>',
        cost=lambda reading, variables, action: reading.sensors['x'][0] ** 2 + action[0] ** 2,
        parameters=(RandomizedParameter('mass', 1.0, 0.5, 2.0),),
        set_parameters=set_mass,
    )


@pytest.mark.parametrize('backend', ['mjx', 'mujoco'])
def test_a_control_of_the_tasks_own_is_set_by_the_state_and_held(backend):
    """A force of x0 + 2 a on 2 kg for each control step; actuators need no range."""
    task = cart(limit='', control=lambda qpos, qvel, action: qpos[..., :1] + 2.0 * action)
    simulator = make_simulator(task, PhysicsConfig(backend=backend))
    actions = np.array([[0.5], [-1.0], [0.2]], np.float32)
    start, model = at(simulator, 0.7, 0.1), simulator.true_model()
    result = jax.jit(rollout, static_argnums=0)(simulator, model, start, actions)
    position, velocity = 0.7, 0.1
    for (action,) in actions:
        force = position + 2.0 * action
        for _ in range(4):
            velocity += 0.01 * force / 2.0
            position += 0.01 * velocity
    np.testing.assert_allclose(result.state.qpos, [position], rtol=1e-5)
    np.testing.assert_allclose(result.state.qvel, [velocity], rtol=1e-4)
    np.testing.assert_allclose(result.reading.sensors['x'], [position], rtol=1e-5)


def test_what_mjx_cannot_simulate_is_named():
    sensor = '<insidesite name="in" site="tip" objtype="site" objname="tip"/>'
    with pytest.raises(TaskError, match=r"'cart': MJX cannot simulate.*INSIDESITE"):
        make_simulator(cart(sensor=sensor))


def test_unusable_plants_are_named():
    with pytest.raises(TaskError, match='ctrlrange'):
        make_simulator(cart(limit=''))
    with pytest.raises(ConfigError, match=r'physics.timestep = 0.03 .* 0.04'):
        make_simulator(cart(), PhysicsConfig(timestep=0.03))
    with pytest.raises(TaskError, match='cannot be loaded'):
        make_simulator(lq_task(mjcf='<mujoco><nonsense/></mujoco>'), PhysicsConfig(backend='mjx'))
    with pytest.raises(TaskError, match='no equations'):
        make_simulator(cart(), PhysicsConfig(backend='equations'))
    with pytest.raises(TaskError, match='needs action_size'):
        make_simulator(lq_task(action_size=None))
    with pytest.raises(TaskError, match='no set_parameters'):
        make_simulator(cart(parameters=(RandomizedParameter('mass', 1.0, 0.5, 2.0),)))


def test_a_task_needs_no_parameters():
    simulator = make_simulator(cart())
    assert jax.tree.leaves(simulator.true_model()) == []
    assert isinstance(simulator.task, Task)
