"""FetchPush against native MuJoCo, NumPy, a compiled MJCF and Gymnasium-Robotics."""

import itertools
import re

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, rollout
from mpq_jax.dynamics.mujoco_model import edited_model, load_model
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.suite.fetch_push import HOME, RESTING_HEIGHT
from mpq_jax.tasks import Reading, load_task

COARSE = {'timestep': 0.01, 'solver_iterations': 4, 'line_search_iterations': 8}
SECOND, COUNT = 25, 16  # control steps; systems at once


@pytest.fixture(scope='module')
def task():
    return load_task('fetch_push')


@pytest.fixture(scope='module')
def corners(task):
    """Every parameter at either end of the planner's belief: 16 models' values."""
    ends = itertools.product(*((p.low, p.high) for p in task.parameters))
    return dict(zip((p.name for p in task.parameters), np.array(list(ends)).T, strict=True))


@pytest.fixture(scope='module')
def natives(task, corners):
    """The 16 models, stepped as coarsely as the planner does."""
    model = load_model(task, PhysicsConfig(**COARSE))
    return [edited_model(task, model, {n: v[i] for n, v in corners.items()}) for i in range(COUNT)]


@pytest.fixture(scope='module')
def pushed():
    """Starts `[16, 10]` with the block beside the gripper, actions `[25, 16, 4]` against it."""
    random = np.random.default_rng(0)
    angle, turned = random.uniform(-np.pi, np.pi, COUNT), random.uniform(-0.5, 0.5, COUNT)
    towards = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    qpos = np.zeros((COUNT, 10))
    qpos[:, :3], qpos[:, 3:5], qpos[:, 5] = HOME, HOME[:2] + 0.06 * towards, RESTING_HEIGHT
    qpos[:, 6], qpos[:, 9] = np.cos(turned / 2), np.sin(turned / 2)
    actions = random.uniform(-0.3, 0.3, (SECOND, COUNT, 4))
    actions[:, :, :2] += 0.5 * towards
    return qpos, actions.astype(np.float32)


def states_of(simulator, qpos, qvel, warmstart):
    qpos, qvel, warmstart = (jnp.asarray(x, jnp.float32) for x in (qpos, qvel, warmstart))
    start = simulator.task.reset(jax.random.key(0))
    one = simulator.state(start)
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (len(qpos), *x.shape)), one)
    return batch._replace(qpos=qpos, qvel=qvel, warmstart=warmstart)


@pytest.fixture(scope='module')
def mjx(task):
    return make_simulator(task, PhysicsConfig(backend='mjx', **COARSE))


@pytest.fixture(scope='module')
def mjx_step(mjx):
    """MJX's control step for batches of 16, compiled once."""
    return jax.jit(jax.vmap(mjx.step))


def test_mjx_steps_like_native_mujoco_through_pushes(task, corners, natives, pushed, mjx, mjx_step):
    """Each control step of a second from native's own state, on the 16 extreme models.

    A block flat on its four corners agrees to rounding; one that a push tilts does not, for MJX's
    boxes meet in fewer points (a converged solver errs as much): it moves up to 40 mm a step.
    """
    qpos, actions = pushed
    datas = [mujoco.MjData(model) for model in natives]
    for data, start in zip(datas, qpos, strict=True):
        data.qpos[:] = start
    models, errors, flat = mjx.make_models(corners), [], []
    for action in actions:
        fields = ([getattr(d, n) for d in datas] for n in ('qpos', 'qvel', 'qacc_warmstart'))
        before = states_of(mjx, *map(np.array, fields))
        for model, data, a in zip(natives, datas, action, strict=True):
            data.ctrl[:] = task.control(data.qpos, data.qvel, a)
            mujoco.mj_step(model, data, 4)
        after, _ = mjx_step(models, before, action)
        errors.append(np.abs(after.qpos - np.array([d.qpos for d in datas]))[:, :6].max(axis=1))
        flat.append([d.ncon == 4 for d in datas])
    travelled = np.linalg.norm([d.qpos[3:5] for d in datas] - qpos[:, 3:5], axis=1)
    assert (travelled > 0.1).sum() > COUNT / 2
    errors, flat = np.array(errors), np.array(flat)
    assert flat.sum() > 40 and np.median(errors[flat]) < 1e-6
    assert np.median(errors) < 1e-3 and np.percentile(errors, 90) < 4e-3 and errors.max() < 0.02


def test_rollouts_are_finite_under_saturated_noise_on_every_model(corners, pushed, mjx, mjx_step):
    random = np.random.default_rng(1)
    state = states_of(mjx, pushed[0], np.zeros((COUNT, 9)), np.zeros((COUNT, 9)))
    models = mjx.make_models(corners)
    for _ in range(SECOND):
        action = random.choice([-1.0, 1.0], (COUNT, 4)).astype(np.float32)
        state, reading = mjx_step(models, state, action)
        cost = jax.vmap(mjx.task.cost)(reading, state.variables, action)
        assert np.isfinite(cost).all() and np.isfinite(state.qvel).all()
    assert np.abs(state.qpos[:, 3:6] - np.array(HOME)).max() < 2.0  # nothing was shot away


def test_observation_and_cost_of_the_bodies(task):
    model = load_model(task, PhysicsConfig())
    data, random = mujoco.MjData(model), np.random.default_rng(0)
    observe, cost = jax.jit(task.observe), jax.jit(task.cost)
    for _ in range(30):
        data.qpos[:], data.qvel[:] = random.normal(size=10), random.normal(size=9)
        goal = random.normal(size=3)
        mujoco.mj_forward(model, data)
        gripper, block = data.body('gripper').xpos, data.body('block').xpos
        moving = np.zeros((2, 6))  # angular, linear; of the world's axes, in 0.04 s
        for row, name in zip(moving, ('gripper', 'block'), strict=True):
            kind = mujoco.mjtObj.mjOBJ_BODY
            mujoco.mj_objectVelocity(model, data, kind, model.body(name).id, row, 0)
        moving *= 0.04
        angles = Rotation.from_matrix(data.body('block').xmat.reshape(3, 3)).as_euler('XYZ')
        expected = [
            *gripper, *block, *(block - gripper), 0, 0, *angles, *(moving[1] - moving[0])[3:],
            *moving[1, :3], *moving[0, 3:], 0, 0, np.linalg.norm(block - gripper),
            *(goal - block), np.linalg.norm(goal - block), *goal,
        ]  # fmt: skip
        reading = Reading(jnp.asarray(data.qpos), jnp.asarray(data.qvel), {})
        np.testing.assert_allclose(observe(reading, goal), expected, rtol=1e-4, atol=1e-5)
        distance = np.linalg.norm(goal - block)
        assert np.isclose(cost(reading, goal, None), distance, rtol=1e-5)


def test_success_is_within_five_centimetres(task):
    goal = jnp.array([1.3, 0.7, RESTING_HEIGHT])
    for distance, within in ((0.0, True), (0.0499, True), (0.0501, False)):
        qpos = jnp.zeros(10).at[3:6].set(goal + distance * jnp.array([0.6, 0.0, 0.8]))
        assert task.success(Reading(qpos, jnp.zeros(9), {}), goal) == within


def test_starts_lie_in_the_environments_ranges(task):
    starts = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), 2000))
    qpos, goal = np.asarray(starts.qpos), np.asarray(starts.variables)
    np.testing.assert_allclose(qpos[:, :3] - np.array(HOME), 0.0, atol=1e-6)
    np.testing.assert_array_equal(qpos[:, 6:], [[1, 0, 0, 0]] * 2000)
    assert not np.asarray(starts.qvel).any()
    for place in (qpos[:, 3:6], goal):
        about = place - np.array([*HOME[:2], RESTING_HEIGHT])
        np.testing.assert_allclose(about[:, :2].min(axis=0), -0.15, atol=0.003)
        np.testing.assert_allclose(about[:, :2].max(axis=0), 0.15, atol=0.003)
        np.testing.assert_allclose(about[:, 2], 0.0, atol=1e-6)
    near = np.linalg.norm(qpos[:, 3:5] - qpos[:, :2], axis=1)
    assert 0.1 <= near.min() < 0.105
    between = np.linalg.norm(goal[:, :2] - qpos[:, 3:5], axis=1)
    assert (between < 0.05).any() and (between > 0.25).any()  # goals are drawn by themselves


def test_a_model_of_any_size_rests_where_the_true_block_does(task, natives, corners):
    for model, half_size in zip(natives, corners['half_size'], strict=True):
        data = mujoco.MjData(model)
        data.qpos[3:5] += 0.1  # out of the gripper's way
        mujoco.mj_step(model, data, 50)
        assert abs(data.qpos[5] - RESTING_HEIGHT) < 1e-3
        assert np.abs(data.qvel[3:]).max() < 1e-2
        assert model.geom('block').size[0] == half_size


def test_parameters_are_what_a_compiled_mjcf_would_have(task):
    """A larger, heavier, rougher block, written into the MJCF's text."""
    values = {'mass': 3.0, 'inertia': 1e-3, 'friction': 1.4, 'half_size': 0.03}
    inertia = 1e-3 * (0.03 / 0.025) ** 2
    text = task.mjcf.read_text()
    for old, new in (
        ('mass="2" diaginertia="8.33e-4 8.33e-4 8.33e-4"',
         f'mass="3" diaginertia="{inertia} {inertia} {inertia}"'),
        ('size="0.025 0.025 0.025"', 'size="0.03 0.03 0.03"'),
        ('"support" type="plane" pos="1.3 0.75 0.4"',
         '"support" type="plane" pos="1.3 0.75 0.395"'),
        *((f'<pair name="{name}"', f'<pair name="{name}" friction="1.4 1.4 0.007 1.4e-4 1.4e-4"')
          for name in ('push', 'slide')),
    ):  # fmt: skip
        assert text.count(old) == 1
        text = text.replace(old, new)
    compiled = mujoco.MjModel.from_xml_string(text)
    edited = edited_model(task, load_model(task, PhysicsConfig()), values)
    fields = [n for n in dir(compiled) if re.match('(body|geom|pair|dof|actuator)_', n)]
    compared = 0
    for name in fields:
        one, other = getattr(compiled, name), getattr(edited, name)
        if isinstance(one, np.ndarray) and one.dtype == np.float64:
            np.testing.assert_allclose(other, one, rtol=1e-6, atol=1e-12, err_msg=name)
            compared += 1
    assert compared > 50


def test_the_gripper_goes_from_where_it_is(task):
    """Five centimetres an action and no further, at every time step; the fourth does nothing."""
    for timestep in (0.002, 0.004, 0.005, 0.01):
        (system,) = make_native_systems(task, PhysicsConfig(timestep=timestep), 1)
        action = np.array([0.0, 0.6, 0.4, 1.0])
        place = np.asarray(system.reset(jax.random.key(0)).state.qpos[:3])
        first = system.step(action).state.qpos[:3] - place
        assert 0.55 < np.linalg.norm(first) / np.linalg.norm(0.05 * action[:3]) < 0.7
        for _ in range(20):
            last = system.step(np.zeros(4)).state.qpos[:3]
        assert np.linalg.norm(last - place) < 0.05
        np.testing.assert_allclose(last, system.step(-np.eye(4)[3]).state.qpos[:3], atol=1e-5)


def test_native_plans_move_like_the_native_real_system(task, pushed):
    """Held targets, control step by control step, in one rollout and in single steps."""
    _, actions = pushed
    physics = PhysicsConfig(backend='mujoco', timestep=0.002)
    simulator = make_simulator(task, physics)
    (system,) = make_native_systems(task, physics, 1)
    start = system.reset(jax.random.key(0)).state
    result = rollout(simulator, simulator.true_model(), start, jnp.asarray(actions[:10, 0]))
    for action in actions[:10, 0]:
        measured = system.step(action)
    np.testing.assert_allclose(result.state.qpos, measured.state.qpos, atol=1e-5)
    np.testing.assert_allclose(result.reading.qvel, measured.reading.qvel, atol=1e-4)
    assert np.linalg.norm(result.state.qpos[:2] - start.qpos[:2]) > 0.05


def test_settings_are_table_3_and_the_planner_is_coarser(task):
    config, paper = (mpq_jax.preset('fetch_push', 'mpq', name) for name in ('default', 'paper'))
    for planner in (config.planner, paper.planner):
        assert (planner.horizon, planner.num_samples, planner.noise_variance) == (10, 36, 3.0)
        assert (planner.temperature, planner.step_size, planner.discount) == (0.01, 0.5, 0.9)
    assert (config.planner.iterations, config.planner.control_discount) == (2, 0.9)  # ours
    assert (paper.planner.iterations, paper.planner.control_discount) == (1, 1.0)
    assert paper.learner.target_iterations == 3 and paper.episodes == 160
    assert load_model(task, config.planner_physics).opt.timestep > 0.002
    assert load_model(task, config.real_physics).opt.timestep == 0.002
