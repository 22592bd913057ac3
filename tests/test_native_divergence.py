"""A native simulation that diverges is seen as such: never put back to its start, and scored."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator, rollout
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.planning import mppi
from mpq_jax.runs.metrics import read_rows
from mpq_jax.tasks.physics_warnings import heard
from tests.conftest import at

# Explicit damping of 400 at 0.02 s: every step multiplies the speed by -7.
UNSTABLE = """
<mujoco>
  <option timestep="0.02"><flag eulerdamp="disable"/></option>
  <worldbody>
    <body>
      <joint name="x" type="slide" axis="1 0 0" damping="400"/><geom size="0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" ctrllimited="true" ctrlrange="-3 3"/></actuator>
</mujoco>
"""


def unstable_task(hook=False, moving=1.0):
    return mpq_jax.Task(
        name='unstable',
        mjcf=UNSTABLE,
        episode_steps=40,
        control_timestep=0.02,
        reset=lambda key: mpq_jax.Start(jnp.ones(1), jnp.full(1, moving)),
        observe=lambda reading, variables: jnp.concatenate([reading.qpos, reading.qvel]),
        cost=lambda reading, variables, action: reading.qpos[0] ** 2 * 1e-12,
        after_physics_step=(lambda qpos, qvel, timestep: (qpos, qvel)) if hook else None,
    )


@pytest.mark.parametrize('hook', [False, True])
def test_plans_through_a_divergence_have_no_finite_score(hook):
    simulator = make_simulator(unstable_task(hook), PhysicsConfig(backend='mujoco'))
    config = PlannerConfig(horizon=30, num_samples=8)
    model = jax.tree.map(lambda x: x[None], simulator.true_model())
    plan = jax.jit(
        lambda state: mppi.plan(
            config, simulator, simulator.task.cost, model, state,
            mppi.zero_controls(config, simulator.action_size), jax.random.key(0),
        )
    )  # fmt: skip
    controls, info = plan(at(simulator, 1.0, 1.0))
    assert info.nonfinite_fraction == 1.0 and not controls.any()
    heard.take()


def test_a_trajectory_ends_where_it_diverges_and_others_go_on():
    """In one batch: from rest at zero nothing moves; the other is that of NumPy, then NaN."""
    simulator = make_simulator(unstable_task(), PhysicsConfig(backend='mujoco'))
    model, actions = simulator.true_model(), jnp.zeros((20, 1))
    starts = jax.vmap(lambda q, v: at(simulator, q, v))(
        jnp.array([[1.0], [0.0]]), jnp.array([[1.0], [0.0]])
    )
    readings, states = jax.jit(
        jax.vmap(lambda state: simulator.trajectory(model, state, actions))
    )(starts)  # fmt: skip
    speed = np.cumprod(np.full(8, 1 - 0.02 * 400.0))
    np.testing.assert_allclose(readings.qvel[0, 1:9, 0], speed, rtol=1e-5)
    assert np.isnan(readings.qpos[0, 11:]).all() and np.isnan(states.qpos[0, -1]).all()
    assert not readings.qpos[1].any() and not states.qpos[1].any()
    heard.take()


def test_the_real_system_returns_nan_and_the_next_episode_is_sound():
    (system,) = make_native_systems(unstable_task(), PhysicsConfig(), 1)
    for _ in range(2):
        system.reset(jax.random.key(0))
        seen = [system.step(np.zeros(1)).state.qvel[0] for _ in range(15)]
        assert np.isfinite(seen[:8]).all() and np.isnan(seen[10:]).all()
    heard.take()


def test_a_run_counts_its_steps_up_to_there_and_says_it_once(tmp_path, monkeypatch, capsys):
    """On a real system and in planning; no file is dropped where the process runs."""
    monkeypatch.chdir(tmp_path)
    mpq_jax.register_task('unstable', unstable_task)
    mujoco.set_mju_user_warning(lambda text: None)  # as dm_control does when it is imported
    fields = {
        'num_seeds': 2, 'episodes': 2, 'planner.horizon': 2, 'planner.num_samples': 4,
        'belief.num_draws': 1, 'planner_physics.backend': 'mujoco',
        'real_system': 'mujoco',
    }  # fmt: skip
    run = mpq_jax.train(mpq_jax.set_fields(mpq_jax.preset('unstable', 'mppi'), fields), 'run')
    rows = read_rows(run.metrics_file)
    assert [row['nonfinite_steps'] for row in rows] == ['1'] * 4
    assert sum(int(row['physics_warnings']) for row in rows) > 0
    steps = np.diff([int(r['env_steps']) for r in read_rows(run.metrics_file) if r['seed'] == '0'])
    assert (steps < 12).all()
    assert capsys.readouterr().out.count('MuJoCo warns') == 1
    assert not list(tmp_path.rglob('MUJOCO_LOG*'))
    result = mpq_jax.evaluate(run.path, 1)
    assert result['nonfinite_steps'] == 2


def test_rollout_of_a_sound_task_is_what_it_was(mjx_pendulum):
    """Bounds on positions, velocities and accelerations touch nothing that is sound."""
    native = make_simulator(mjx_pendulum.task, PhysicsConfig(backend='mujoco'))
    actions = jnp.ones((10, 1))
    ours = jax.jit(lambda s: rollout(native, native.true_model(), s, actions))
    assert np.isfinite(ours(at(native, 1.0, 7.9)).costs).all()
