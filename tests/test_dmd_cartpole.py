"""The published cartpole of DMD-MPC: its equations against MuJoCo, its cells, its findings."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.comparison import dmd_cartpole, dmd_cartpole_figure
from mpq_jax.comparison.dmd_cartpole import Cell, State
from tests.entry_points import run
from tests.test_reproduce import QUIET

MJCF = f"""
<mujoco>
  <option gravity="0 0 -{dmd_cartpole.GRAVITY}"><flag contact="disable"/></option>
  <worldbody>
    <body>
      <joint type="slide" axis="1 0 0"/>
      <inertial pos="0 0 0" mass="{dmd_cartpole.CART}" diaginertia="1e-6 1e-6 1e-6"/>
      <body>
        <joint type="hinge" axis="0 -1 0"/>
        <inertial pos="0 0 -LENGTH" mass="{dmd_cartpole.TIP}" diaginertia="1e-9 1e-9 1e-9"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


def test_accelerations_are_those_of_a_point_mass_on_a_massless_pole():
    rng = np.random.default_rng(0)
    for length in (dmd_cartpole.TRUE_LENGTH, dmd_cartpole.MODEL_LENGTH):
        model = mujoco.MjModel.from_xml_string(MJCF.replace('LENGTH', str(length)))
        data = mujoco.MjData(model)
        for _ in range(10):
            state, force = rng.normal(size=4) * [1, 3, 2, 5], rng.normal() * 20
            data.qpos[:], data.qvel[:], data.qfrc_applied[0] = state[:2], state[2:], force
            mujoco.mj_forward(model, data)
            after = dmd_cartpole.advance(length, State(*jnp.float32(state)), force)
            speeds = np.array([after.speed, after.rate])
            expected = state[2:] + dmd_cartpole.TIMESTEP * data.qacc
            np.testing.assert_allclose(speeds, expected, rtol=1e-4, atol=1e-4)
            moved = state[:2] + dmd_cartpole.TIMESTEP * expected
            np.testing.assert_allclose([after.position, after.angle], moved, rtol=1e-4, atol=1e-4)


def test_costs_are_wrapped_and_hanging_still_is_the_reference():
    def cost(*state):
        return float(dmd_cartpole.cost(State(*map(jnp.float32, state))))

    np.testing.assert_allclose(500 * cost(0, 0, 0, 0), 2.967e6, rtol=1e-3)
    np.testing.assert_allclose([cost(0, np.pi, 0, 0), cost(0, -3 * np.pi, 0, 0)], 0, atol=1e-8)
    inside, outside = np.deg2rad(11.9), np.deg2rad(12.1)
    np.testing.assert_allclose(cost(1, np.pi - inside, 2, 1), 10 + 500 * inside**2 + 19, rtol=1e-4)
    np.testing.assert_allclose(
        cost(1, outside - np.pi, 2, 1), 10 + 500 * outside**2 + 1019, rtol=1e-4
    )


def test_plans_are_judged_on_every_random_force():
    forces = np.random.default_rng(0).normal(size=(dmd_cartpole.DRAWS, 4)) * 5
    actions = np.random.default_rng(1).uniform(-1, 1, (3, 4, 1))
    start = State(*jnp.float32([0.1, 0.2, 0.3, 0.4]))
    found = dmd_cartpole.plan_costs(jnp.float32(forces), start, jnp.float32(actions))
    for plan, total in zip(actions[..., 0], found, strict=True):
        costs = []
        for force in forces:
            state, paid = start, 0.0
            for action, push in zip(plan, force, strict=True):
                paid += float(dmd_cartpole.cost(state))
                pushed = dmd_cartpole.FORCE * action + push
                state = dmd_cartpole.advance(dmd_cartpole.MODEL_LENGTH, state, pushed)
            costs.append(paid + float(dmd_cartpole.cost(state)))
        np.testing.assert_allclose(total, np.mean(costs), rtol=1e-4)


def test_cells_run_once_and_their_costs_are_kept(tmp_path, monkeypatch):
    wanted = [Cell('low_cost', 10, step, 1e-3) for step in (0.5, 1.0)]
    monkeypatch.setattr(dmd_cartpole, 'cells', lambda: wanted)
    monkeypatch.setattr(dmd_cartpole, 'STEPS', 3)
    ran = []
    for _ in range(2):
        found = dict(dmd_cartpole.run(tmp_path / 'costs.csv', lambda cell, *_: ran.append(cell)))
    assert ran == wanted == list(found)
    again = dict(dmd_cartpole.read(tmp_path / 'costs.csv'))
    for cell, costs in found.items():
        np.testing.assert_array_equal(again[cell], costs)
        assert costs.shape == (10,) and len(set(costs)) == 10
    alone = dmd_cartpole.episode(
        dmd_cartpole.config_of(wanted[1]), jax.random.split(jax.random.key(0), 10)[4]
    )
    np.testing.assert_allclose(found[wanted[1]][4], alone, rtol=1e-5)


def made_up(better_above_one):
    """Costs as the paper has them, or with steps above one no better."""
    rows = []
    for cell in dmd_cartpole.cells():
        if cell.loss == 'expected_cost':
            value = 1 + np.abs(np.log10(cell.step_size) + 2)
        elif cell.num_samples < 1000:
            value = 1 + np.abs(np.log10(cell.step_size / (0.1 if cell.num_samples == 10 else 1)))
        else:
            value = 1 + np.abs(np.log10(cell.step_size / (3 if better_above_one else 0.5)))
        rows.append((cell, value + 0.01 * np.arange(10)))
    return rows


def test_findings_are_confirmed_or_denied():
    verdicts = [verdict for _, verdict, _ in dmd_cartpole_figure.judge(made_up(True))]
    assert verdicts == ['confirmed'] * 6
    verdicts = [verdict for _, verdict, _ in dmd_cartpole_figure.judge(made_up(False))]
    assert verdicts == ['confirmed', 'confirmed', 'denied', 'denied', 'denied', 'denied']
    assert {verdict for _, verdict, _ in dmd_cartpole_figure.judge([])} == {'not run'}


def test_the_figure_shows_what_has_run(tmp_path):
    dmd_cartpole_figure.reproduce(tmp_path, QUIET, draw_only=True)
    assert (tmp_path / 'dmd_cartpole.png').exists()
    result = run('reproduce', '--figure=dmd_cartpole', '--draw_only', f'--run_dir={tmp_path}')
    assert result.returncode == 0 and 'not run' in result.stdout
