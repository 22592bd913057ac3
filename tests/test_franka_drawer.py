"""The arm and the drawer against native MuJoCo and plain NumPy."""

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.dynamics import make_simulator, rollout
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.suite.franka_drawer import TARGET
from mpq_jax.tasks import Reading, load_task

STEPS, BATCH = 20, 16
# Of MJX against native MuJoCo after 20 control steps: metres and radians, per second. Both are 1e-6
# until an actuator meets its force limit, where MJX keeps the derivative that MuJoCo 4 leaves out.
QPOS_TOLERANCE, QVEL_TOLERANCE = 1e-3, 2e-2


@pytest.fixture(scope='module')
def task():
    return load_task('franka_drawer')


@pytest.fixture(scope='module')
def model(task):
    """As the planner simulates it, true parameters."""
    return load_model(task, mpq_jax.preset('franka_drawer').planner_physics)


@pytest.fixture(scope='module')
def scripted(model, task):
    """A controller that opens the drawer: states `[101]`, actions `[100]`, contacts `[100]`."""
    data = mujoco.MjData(model)
    data.qpos[:] = task.reset(jax.random.key(4)).qpos
    mujoco.mj_forward(model, data)
    states, actions, contacts = [state_of(data)], [], []
    for _ in range(100):
        actions.append(scripted_action(model, data))
        contacts.append(native_step(model, data, actions[-1]))
        states.append(state_of(data))
    return np.array(states), np.array(actions, np.float32), np.array(contacts)


def state_of(data):
    return np.concatenate([data.qpos, data.qvel])


def scripted_action(model, data):
    """Over the bar, down on it, and back until the drawer is where it should be."""
    hand, handle = data.site('end_effector'), data.site('handle')
    way = handle.xpos - hand.xpos
    if data.qpos[7] > 0.01 or (abs(way[0]) < 0.025 and abs(way[2]) < 0.015):
        way[0] += min(0.0, 4 * (data.qpos[7] - TARGET))
    elif abs(way[0]) > 0.012:
        way[2] += 0.03
    jacobian = np.zeros((6, model.nv))
    mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], hand.id)
    turn = handle.xmat.reshape(3, 3) @ hand.xmat.reshape(3, 3).T
    axis = 0.5 * np.array(
        [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    )
    arm = jacobian[:, :7]
    wanted = np.concatenate([8 * way, 4 * axis])
    speeds = arm.T @ np.linalg.solve(arm @ arm.T + 1e-3 * np.eye(6), wanted)
    speeds /= model.actuator_ctrlrange[:, 1]
    return speeds / max(1.0, np.abs(speeds).max())


def native_step(model, data, action):
    """One control step; returns the contacts at its end."""
    data.ctrl[:] = model.actuator_ctrlrange[:, 1] * action
    mujoco.mj_step(model, data, round(0.04 / model.opt.timestep))
    mujoco.mj_forward(model, data)
    return data.ncon


def readings_of(model, states):
    """What the task is shown of states `[T, 16]`."""
    data, sensors = mujoco.MjData(model), []
    for state in states:
        data.qpos[:], data.qvel[:] = np.split(state, 2)
        mujoco.mj_forward(model, data)
        named = [model.sensor(i) for i in range(model.nsensor)]
        sensors.append({s.name: data.sensor(s.name).data.copy() for s in named})
    columns = {name: np.array([s[name] for s in sensors]) for name in sensors[0]}
    return Reading(states[:, :8], states[:, 8:], columns)


@pytest.fixture(scope='module')
def mjx(task):
    return make_simulator(
        task, dataclasses.replace(mpq_jax.preset('franka_drawer').planner_physics, backend='mjx')
    )


@pytest.fixture(scope='module')
def compiled_rollouts(task, mjx):
    """MJX rollouts compiled once: models, states and actions `[BATCH, STEPS, 7]`; with readings."""

    def one(leaves, state, actions):
        def step(state, action):
            following, reading = mjx.step(leaves, state, action)
            return following, (following, task.cost(reading, (), action), reading)

        return jax.lax.scan(step, state, actions)[1]

    models = mjx.make_models(draw_parameters(task, jax.random.key(0), BATCH))
    states = jax.vmap(mjx.state)(jax.vmap(task.reset)(jax.random.split(jax.random.key(0), BATCH)))
    actions = jnp.zeros((BATCH, STEPS, 7))
    return mpq_jax.compile(jax.vmap(one), models, states, actions)


def test_a_script_opens_the_drawer_within_the_episode(task, model, scripted):
    states, _, contacts = scripted
    success = jax.vmap(task.success, in_axes=(0, None))(
        Reading(states[:, :8], states[:, 8:], {}), ()
    )
    assert contacts.max() >= 1 and 0 < int(np.argmax(success)) < 100
    assert states[0, 7] == 0.0


@pytest.mark.slow  # tens of seconds of compiling; test_franka_arm has MJX in the fast part
def test_mjx_moves_like_native_mujoco_while_the_fingers_pull(
    task, mjx, model, scripted, compiled_rollouts
):
    """Sixteen pieces of a scripted episode, twenty control steps each."""
    states, actions, contacts = scripted
    pieces = np.linspace(0, 100 - STEPS, BATCH).astype(int)
    held = np.stack([actions[p : p + STEPS] for p in pieces])
    assert sum(contacts[p : p + STEPS].max() > 0 for p in pieces) >= 6
    start = jax.vmap(mjx.state)(
        mpq_jax.Start(jnp.float32(states[pieces, :8]), jnp.float32(states[pieces, 8:]))
    )
    models = jax.tree.map(lambda x: jnp.stack([x] * BATCH), mjx.true_model())
    ours, _, readings = compiled_rollouts(models, start, held)
    theirs, native = [], mujoco.MjData(model)
    for p, plan in zip(pieces, held, strict=True):
        mujoco.mj_resetData(model, native)
        native.qpos[:], native.qvel[:] = np.split(states[p].astype(np.float32), 2)
        for action in plan:
            native_step(model, native, action)
            theirs.append(state_of(native))
    theirs = np.reshape(theirs, (BATCH, STEPS, 16))
    np.testing.assert_allclose(ours.qpos, theirs[..., :8], atol=QPOS_TOLERANCE)
    np.testing.assert_allclose(ours.qvel, theirs[..., 8:], atol=QVEL_TOLERANCE)
    before = np.concatenate([states[pieces][:, None], theirs[:, :-1]], axis=1)
    want = readings_of(model, before.reshape(-1, 16)).sensors
    for name, value in readings.sensors.items():
        got = np.reshape(value, want[name].shape)
        np.testing.assert_allclose(got, want[name], atol=QVEL_TOLERANCE, err_msg=name)


@pytest.mark.slow  # tens of seconds of compiling; test_franka_arm has MJX in the fast part
def test_rollouts_stay_finite_under_saturated_noise_for_every_draw(
    task, mjx, scripted, compiled_rollouts
):
    """Corners of the belief and random draws, from the start and with the fingers at the bar."""
    states, _, _ = scripted
    names = [p.name for p in task.parameters]
    ends = np.array([(p.low, p.high) for p in task.parameters])
    corners = {n: ends[i][(np.arange(BATCH) >> i) & 1] for i, n in enumerate(names)}
    saturated = jnp.sign(jax.random.normal(jax.random.key(5), (BATCH, STEPS, 7)))
    draws = draw_parameters(task, jax.random.key(1), BATCH)
    for values, first in ((corners, 30), (draws, 60), (corners, 0)):
        at = states[first : first + BATCH]
        start = mpq_jax.Start(jnp.float32(at[:, :8]), jnp.float32(at[:, 8:]))
        after, costs, _ = compiled_rollouts(
            mjx.make_models(values), jax.vmap(mjx.state)(start), saturated
        )
        assert np.isfinite(after.qpos).all() and np.isfinite(after.qvel).all()
        assert np.isfinite(costs).all() and np.ptp(costs) > 0.05
        assert np.abs(after.qpos).max() < 4 and np.abs(after.qvel).max() < 30


@pytest.mark.slow  # tens of seconds of compiling; test_franka_arm has MJX in the fast part
def test_native_backend_scores_plans_like_mjx(task, mjx, compiled_rollouts):
    """On sixteen draws of the belief; at a force limit they part (see the tolerances)."""
    values = draw_parameters(task, jax.random.key(1), BATCH)
    starts = jax.vmap(task.reset)(jax.random.split(jax.random.key(2), BATCH))
    actions = jnp.clip(2 * jax.random.normal(jax.random.key(3), (BATCH, STEPS, 7)), -1, 1)
    _, ours, _ = compiled_rollouts(mjx.make_models(values), jax.vmap(mjx.state)(starts), actions)
    physics = mpq_jax.preset('franka_drawer').planner_physics
    native = make_simulator(task, dataclasses.replace(physics, backend='mujoco'))
    states = jax.vmap(native.state)(starts)

    def costs(leaves, state, plan):
        return rollout(native, leaves, state, plan).costs

    theirs = jax.jit(jax.vmap(costs))(native.make_models(values), states, actions)
    gap = np.abs(ours - theirs)
    assert np.mean(gap < 1e-4) > 0.9 and gap.max() < 0.02
    assert np.ptp(theirs) > 0.1


def test_observation_cost_and_success_in_numpy(task, model, scripted):
    states = scripted[0][::4].copy()
    states[0, 7], states[1, 7], states[2, 7], states[3, 7] = 0.291, 0.289, 0.309, 0.35
    states[4, :7] = model.jnt_range[:7].mean(axis=1)  # far from the handle, and turned from it
    readings, data, seen = readings_of(model, states), mujoco.MjData(model), []
    for i, state in enumerate(states):
        data.qpos[:], data.qvel[:] = np.split(state, 2)
        mujoco.mj_forward(model, data)
        sites = [data.site(name) for name in ('end_effector', 'handle')]
        places = [site.xpos for site in sites]
        speeds, turns = np.zeros((2, 6)), np.zeros((2, 4))
        for speed, turn, site in zip(speeds, turns, sites, strict=True):
            kind = mujoco.mjtObj.mjOBJ_SITE
            mujoco.mj_objectVelocity(model, data, kind, site.id, speed, 0)
            mujoco.mju_mat2Quat(turn, site.xmat)
        way = places[1] - places[0]
        matrix = sites[0].xmat.reshape(3, 3).T @ sites[1].xmat.reshape(3, 3)
        angle = np.arccos(np.clip((np.trace(matrix) - 1) / 2, -1, 1))
        difference = np.zeros(4)
        mujoco.mju_mat2Quat(difference, matrix.ravel())
        difference *= np.sign(difference[0])
        left = TARGET - state[7]
        expected = [*places[0], *places[1], *way, *speeds[0, 3:], *speeds[1, 3:], *turns[0],
                    *turns[1], state[7], np.linalg.norm(way), *difference, angle, TARGET,
                    *state[:7], left]  # fmt: skip
        reading = jax.tree.map(lambda x, i=i: jnp.asarray(x[i], jnp.float32), readings)
        observation = np.array(task.observe(reading, ()))
        for at in (15, 19):  # q and -q are one rotation
            observation[at : at + 4] *= np.sign(observation[at : at + 4] @ expected[at : at + 4])
        assert observation.shape == (39,)
        np.testing.assert_allclose(observation, expected, atol=2e-5)
        cost = np.linalg.norm(way) + 0.08 * angle - 1 + abs(left) / TARGET
        np.testing.assert_allclose(task.cost(reading, (), jnp.ones(7)), cost, atol=2e-5)
        assert bool(task.success(reading, ())) == (abs(left) < 0.01)
        seen.append(bool(task.success(reading, ())))
    assert seen[:4] == [True, False, True, False]
