"""MuJoCo Warp in the place of MJX's own implementation: against native MuJoCo, on a CPU.

Warp compiles a kernel when it is first used, and keeps it: the first run takes minutes, later ones
one.
"""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import program_errors
from mpq_jax.base.validation import RunError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, rollout
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.runs.metrics import read_rows
from tests.conftest import lq_task, tiny_lq_config
from tests.test_franka_drawer import native_step, scripted_action
from tests.test_mocap import ACTIONS, TASKS, expected

pytestmark = pytest.mark.slow

STARTS, DRAWS = 2, 3
# Both solvers to their ends: where one is stopped early, the other stands elsewhere.
CONVERGED = {'solver_iterations': 100, 'line_search_iterations': 50}

# What MJX's own implementation refuses: an upright cylinder on a box, pushed, and a mesh that comes
# down with a corner first on another cylinder.
STAND = """
<mujoco>
  <option timestep="0.005"/>
  <asset><mesh name="top" vertex="0 0 -.1  .1 .1 .1  -.1 .1 .1  0 -.1 .1"/></asset>
  <worldbody>
    <geom name="table" type="box" size="1 1 .1" pos="0 0 -.1" friction=".4"/>
    <geom name="stump" type="cylinder" size=".2 .1" pos="0 2 .1"/>
    <body pos="0 0 .11">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>
      <geom type="cylinder" size=".05 .1" mass="1" friction=".4"/>
    </body>
    <body pos="0.03 2.02 .35">
      <joint type="slide" axis="0 0 1"/><geom type="mesh" mesh="top" mass="0.5"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" ctrllimited="true" ctrlrange="-8 8"/></actuator>
</mujoco>
"""


def stand():
    return lq_task(
        name='stand',
        equations=None,
        mjcf=STAND,
        control_timestep=0.01,
        reset=lambda key: mpq_jax.Start(jnp.zeros(3), jnp.zeros(3)),
    )


NEEDS_WARP = "needs the extra warp: pip install -e '.[warp]'"


def on_warp(**fields):
    pytest.importorskip('warp', reason=NEEDS_WARP)
    return PhysicsConfig(backend='mjx', impl='warp', **{**CONVERGED, **fields})


def native_contacts(task, physics, starts, actions):
    """The most contacts of a state on plans `[N, T, nu]` with the true parameters."""
    model, most = load_model(task, physics), 0
    low, high = model.actuator_ctrlrange.T
    for qpos, qvel in zip(starts.qpos, starts.qvel, strict=True):
        for plan in actions:
            data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:] = qpos, qvel
            for action in np.asarray(plan):
                data.ctrl[:] = (low + high) / 2 + (high - low) / 2 * action
                for _ in range(round(task.control_timestep / model.opt.timestep)):
                    mujoco.mj_step(model, data)
                    most = max(most, data.ncon)
    return most


def rollouts(simulator, values, starts, actions, chunk=0):
    """Of plans on model draws: `[starts, draws, ...]`, nested as a planner nests them."""
    models = simulator.make_models(values)
    models = jax.tree.map(lambda x: x[np.arange(DRAWS) % len(x)], models)

    def of_start(start):
        state = simulator.state(start)

        def one(item):
            model, plan = item
            return rollout(simulator, model, state, plan, keep=True)

        return map_in_chunks(one, (models, actions), chunk)

    return jax.jit(jax.vmap(of_start))(starts)


def compare(task, starts, actions, **fields):
    """Trajectories `[starts, draws, ...]` on Warp and native, of plans `[draws, T, nu]`."""
    physics = on_warp(**fields)
    native = PhysicsConfig(backend='mujoco', **{**CONVERGED, **fields})
    assert native_contacts(task, native, starts, actions) > 0  # or nothing much is compared
    values = draw_parameters(task, jax.random.key(1), DRAWS)
    ours = rollouts(make_simulator(task, physics), values, starts, actions, chunk=2)
    theirs = rollouts(make_simulator(task, native), values, starts, actions)
    np.testing.assert_allclose(ours.costs, theirs.costs, rtol=1e-5, atol=1e-5)
    return ours.along, theirs.along


def begun(task):
    return jax.vmap(task.reset)(jax.random.split(jax.random.key(2), STARTS))


def random_plans(steps, actions):
    return jax.random.uniform(jax.random.key(3), (DRAWS, steps, actions), minval=-1)


def test_a_cylinder_stands_on_a_box_and_a_mesh_on_a_cylinder():
    """A push of 0.4 s, sliding and landing: positions within 1 um, velocities within 10 um/s."""
    task = stand()
    ours, theirs = compare(task, begun(task), random_plans(40, 1))
    assert (np.ptp(theirs.states.qpos, axis=(0, 1, 2)) > 0.01).all()
    np.testing.assert_allclose(ours.states.qpos, theirs.states.qpos, atol=1e-6)
    np.testing.assert_allclose(ours.states.qvel, theirs.states.qvel, atol=1e-5)


def test_ball_in_cup_moves_as_natively():
    """Random models, the ball among the walls: 20 control steps within 2 um and 20 um/s."""
    task = mpq_jax.load_task('ball_in_cup')
    ours, theirs = compare(task, begun(task), random_plans(20, 2), timestep=0.01)
    assert np.ptp(theirs.states.qpos[..., 2:]) > 0.1
    np.testing.assert_allclose(ours.states.qpos, theirs.states.qpos, atol=2e-6)
    np.testing.assert_allclose(ours.states.qvel, theirs.states.qvel, atol=2e-5)


def test_the_drawer_is_pulled_as_natively():
    """Random models, two states in which fingers touch the bar, five control steps of the pull."""
    task = mpq_jax.load_task('franka_drawer')
    states, actions = pulled(task)
    starts = mpq_jax.Start(jnp.float32(states[:, :8]), jnp.float32(states[:, 8:]))
    plans = actions + 0.1 * random_plans(5, 7)
    ours, theirs = compare(task, starts, plans, timestep=0.02)
    assert np.ptp(theirs.states.qpos[..., 7], axis=-1).max() > 0.01
    np.testing.assert_allclose(ours.states.qpos, theirs.states.qpos, atol=5e-6)
    np.testing.assert_allclose(ours.states.qvel, theirs.states.qvel, atol=5e-5)
    for name, values in ours.readings.sensors.items():
        np.testing.assert_allclose(values, theirs.readings.sensors[name], atol=5e-5)


def pulled(task):
    """Of a script that opens the drawer: states `[2, 16]` in contact, actions `[5, 7]` from one."""
    model = load_model(task, PhysicsConfig(timestep=0.02, **CONVERGED))
    data, states, actions, contacts = mujoco.MjData(model), [], [], []
    data.qpos[:] = task.reset(jax.random.key(4)).qpos
    mujoco.mj_forward(model, data)
    for _ in range(60):
        states.append(np.concatenate([data.qpos, data.qvel]))
        contacts.append(data.ncon)
        actions.append(scripted_action(model, data))
        native_step(model, data, actions[-1])
    touching = np.flatnonzero(contacts[:50])
    at = touching[len(touching) // 2]
    return np.array(states)[[at, touching[-1]]], np.float32(actions[at : at + 5])


def test_what_is_lost_ends_the_program_and_names_the_field():
    task = stand()
    for field, value in {'warp_contacts': 1, 'warp_constraints': 2}.items():
        simulator = make_simulator(task, on_warp(**{field: value}))
        assert f'{value} con' in simulator.description
        wanted = rf'planner_physics\.{field} = {value} .* more'
        with pytest.raises(RunError, match=wanted), program_errors():
            found = rollouts(simulator, {}, begun(task), random_plans(20, 1))
            jax.block_until_ready(found.costs)


def test_a_run_that_ran_out_goes_on_with_more(tmp_path):
    on_warp()
    fields = {'task': 'tests.test_warp:stand', 'episodes': 1, 'num_seeds': 1}
    for which in ('planner_physics', 'real_physics'):
        fields |= {f'{which}.backend': 'auto', f'{which}.impl': 'warp'}
    config, small = tiny_lq_config(**fields), {'planner_physics.warp_contacts': 1}
    with pytest.raises(RunError, match=r'program failed: .*planner_physics\.warp_contacts = 1 is'):
        mpq_jax.train(mpq_jax.set_fields(config, small), tmp_path / 'run')
    run = mpq_jax.train(config, tmp_path / 'run', resume=True)
    rows = read_rows(run.metrics_file)
    assert [float(row['nonfinite_fraction']) for row in rows] == [0.0]


def test_a_world_that_diverges_takes_nothing_from_the_others():
    """Positions that are not finite stay so; the others move as without it."""
    task = stand()
    simulator = make_simulator(task, on_warp())
    state = simulator.state(task.reset(jax.random.key(0)))
    states = jax.tree.map(lambda x: jnp.stack([x] * 3), state)
    broken = states._replace(qpos=states.qpos.at[1].set(jnp.nan))
    step = jax.jit(jax.vmap(lambda s: simulator.step((), s, jnp.ones(1))[0].qpos))
    found, sound = np.asarray(step(broken)), np.asarray(step(states))
    assert np.isnan(found[1]).all() and np.isfinite(sound).all()
    np.testing.assert_array_equal(found[[0, 2]], sound[[0, 2]])


def test_mocap_bodies_are_where_mujoco_has_them():
    pytest.importorskip('warp', reason=NEEDS_WARP)
    task = TASKS['moving']
    simulator = make_simulator(task, PhysicsConfig('mjx', impl='warp'))
    start, model = simulator.state(task.reset(jax.random.key(0))), simulator.true_model()
    steps = jax.jit(lambda: rollout(simulator, model, start, ACTIONS, keep=True))()
    assert steps.along is not None
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), steps.along.readings,
        expected(task),
    )  # fmt: skip
