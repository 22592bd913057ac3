"""Ball in cup against dm_control, native MuJoCo and plain NumPy."""

from pathlib import Path

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.suite.ball_in_cup import touches
from mpq_jax.tasks import Reading, Start, load_task

BATCH = 5


@pytest.fixture(scope='module')
def task():
    return load_task('ball_in_cup')


@pytest.fixture(scope='module')
def model(task):
    return mujoco.MjModel.from_xml_path(str(task.mjcf))


@pytest.fixture(scope='module')
def recorded():
    """dm_control's ball_in_cup; see reference/record_ball_in_cup.py."""
    return np.load(Path(__file__).parent / 'reference' / 'ball_in_cup.npz')


@pytest.fixture(scope='module')
def simulator(task):
    return make_simulator(task, PhysicsConfig(backend='mjx'))


@pytest.fixture(scope='module')
def step(simulator):
    """MJX's control step at the real system's settings, compiled once, for batches of five."""
    return jax.jit(jax.vmap(simulator.step))


def states_of(simulator, qpos, qvel):
    start = Start(jnp.asarray(qpos, jnp.float32), jnp.asarray(qvel, jnp.float32))
    return jax.vmap(simulator.state)(start)


def native_step(model, qpos, qvel, control, steps=10):
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = qpos, qvel, control
    mujoco.mj_step(model, data, nstep=steps)
    return np.concatenate([data.qpos, data.qvel])


def test_native_real_system_moves_like_dm_control(task, recorded):
    """All 60 control steps, contacts and friction included, to the record's float32 rounding."""
    simulator = make_simulator(task, PhysicsConfig(backend='mujoco'))
    states, controls = recorded['states'], recorded['controls']
    assert (recorded['contacts'].sum(axis=1) > 20).sum() == 2
    start = states_of(simulator, states[:, 0, :4], states[:, 0, 4:])
    models = jnp.stack([simulator.true_model()] * BATCH)
    readings, _ = jax.jit(jax.vmap(simulator.trajectory))(models, start, controls)
    ours = np.concatenate([readings.qpos, readings.qvel], axis=-1)
    np.testing.assert_allclose(ours, states, atol=1e-5)


def test_mjx_real_system_moves_like_dm_control(simulator, step, recorded):
    """All 60 control steps, in float32: to a millimetre (measured: 0.16 mm)."""
    states, controls = recorded['states'], recorded['controls']
    state = states_of(simulator, states[:, 0, :4], states[:, 0, 4:])
    models = jax.tree.map(lambda x: jnp.stack([x] * BATCH), simulator.true_model())
    ours = []
    for t in range(controls.shape[1]):
        state, _ = step(models, state, controls[:, t])
        ours.append(np.asarray(state.qpos))
    np.testing.assert_allclose(np.stack(ours, axis=1), states[:, 1:, :4], atol=1e-3)


def test_the_planner_steps_more_coarsely_than_the_real_system(task):
    config = mpq_jax.preset('ball_in_cup')
    planner, real = (load_model(task, p).opt for p in (config.planner_physics, config.real_physics))
    assert (planner.timestep, planner.iterations, planner.ls_iterations) == (0.01, 2, 4)
    assert (real.timestep, real.iterations, real.ls_iterations) == (0.002, 4, 8)


def test_start_states_never_touch(task, model, recorded):
    np.testing.assert_array_equal(jax.vmap(touches)(recorded['draws']), recorded['touching'])
    assert 40 < recorded['touching'].sum() < 360
    starts = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), 500))
    data = mujoco.MjData(model)
    for qpos in starts.qpos:
        data.qpos[:] = qpos
        mujoco.mj_forward(model, data)
        assert data.ncon == 0
    assert not np.asarray(starts.qvel).any() and not np.asarray(starts.qpos[:, :2]).any()
    ball = np.asarray(starts.qpos[:, 2:])
    np.testing.assert_allclose(ball.min(axis=0), [-0.2, 0.2], atol=0.01)
    np.testing.assert_allclose(ball.max(axis=0), [0.2, 0.5], atol=0.01)


def test_observation_and_cost_of_the_bodies_and_sites(task, model):
    random = np.random.default_rng(0)
    data, seen = mujoco.MjData(model), []
    for near in [True] * 50 + [False] * 50:
        data.qpos[:2], data.qvel[:] = random.uniform(-0.2, 0.2, 2), random.normal(size=4)
        # The middle of the target is 0.35 above the ball's origin.
        offset = random.uniform(-0.04, 0.04, 2) if near else random.uniform(-0.3, 0.3, 2)
        data.qpos[2:] = data.qpos[:2] + offset
        data.qpos[3] += 0.35
        mujoco.mj_forward(model, data)
        ball, target = data.body('ball').xpos, data.site('target').xpos
        velocity = np.zeros((2, 6))
        for row, name in zip(velocity, ('ball', 'target'), strict=True):
            site, kind = model.site(name).id, mujoco.mjtObj.mjOBJ_SITE
            mujoco.mj_objectVelocity(model, data, kind, site, row, 0)
        way = target - ball
        length = np.linalg.norm(way)
        expected = [ball[0], ball[2], target[0], target[2], velocity[0, 3], velocity[0, 5],
                    velocity[1, 3], velocity[1, 5], way[0], way[2], way[0] / length,
                    way[2] / length]  # fmt: skip
        reading = Reading(jnp.asarray(data.qpos), jnp.asarray(data.qvel), {})
        np.testing.assert_allclose(task.observe(reading, ()), expected, rtol=1e-4, atol=1e-5)
        room = model.site('target').size - model.geom('ball').size[0]
        inside = abs(way[0]) < room[0] and abs(way[2]) < room[2]
        assert task.cost(reading, (), jnp.ones(2)) == (0.0 if inside else 1.0)
        assert task.success(reading, ()) == inside
        seen.append(inside)
    assert 10 < sum(seen) < 90


def test_cost_is_dm_controls_reward(task, recorded):
    def costs(state):
        return task.cost(Reading(state[:4], state[4:], {}), (), jnp.zeros(2))

    ours = jax.vmap(jax.vmap(costs))(recorded['states'])
    np.testing.assert_array_equal(1.0 - ours, recorded['rewards'])
    assert 50 < recorded['rewards'].sum() < recorded['rewards'].size - 50


def test_observation_in_the_very_middle_is_finite(task):
    reading = Reading(jnp.array([0.1, 0.0, 0.1, 0.35]), jnp.zeros(4), {})
    assert np.isfinite(task.observe(reading, ())).all()


def test_randomized_models_step_like_a_compiled_mjcf(task, simulator, step):
    """The string jerks taut, with every parameter written into the MJCF's text."""
    values = draw_parameters(task, jax.random.key(1), BATCH)
    models = simulator.make_models(values)
    qpos = np.tile([0.05, 0.02, -0.1, 0.0121], (BATCH, 1))
    qvel = np.tile([0.1, 0.3, -1.0, -2.0], (BATCH, 1))
    actions = np.tile([0.5, 0.8], (BATCH, 1)).astype(np.float32)
    after, _ = step(models, states_of(simulator, qpos, qvel), actions)
    ours = np.concatenate([after.qpos, after.qvel], axis=-1)
    results = []
    for i in range(BATCH):
        mass, inertia, stiffness = (values[n][i] for n in ('mass', 'inertia', 'stiffness'))
        text = task.mjcf.read_text()
        for old, new in (
            ('mass="0.058"', f'mass="{mass}"'),
            ('stiffness="0.05"', f'stiffness="{stiffness}"'),
            ('"1.47e-5 1.47e-5 1.47e-5"', f'"{inertia} {inertia} {inertia}"'),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        results.append(
            native_step(mujoco.MjModel.from_xml_string(text), qpos[i], qvel[i], actions[i])
        )
    np.testing.assert_allclose(ours, results, atol=2e-5)
    assert np.ptp(results, axis=0).max() > 0.1


def test_tendon_constants_follow_the_mass(model, simulator):
    """tendon_invweight0 is 1 / ball + 1 / cup, because the string hangs straight in qpos0."""
    values = {'mass': [0.3], 'inertia': [1e-5], 'stiffness': [0.7]}
    leaves = simulator.make_models({name: np.array(value) for name, value in values.items()})
    scalars = [float(leaf.ravel()[0]) for leaf in leaves if leaf.size == 1]
    inverse_weight = 1 / 0.3 + 1 / model.body('cup').mass[0]
    assert any(np.isclose(x, inverse_weight, rtol=1e-5) for x in scalars)
    assert any(np.isclose(x, 0.7) for x in scalars)
