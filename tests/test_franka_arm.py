"""The Franka arm as published: kinematics, limits, masses, the belief in its friction."""

import jax
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.dynamics.mujoco_model import edited_model, load_model
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.suite.franka_drawer import HOME
from mpq_jax.tasks import load_task

# Franka's: a joint's frame in the one before, as translation and angle about x.
LINKS = (
    ((0, 0, 0.333), 0), ((0, 0, 0), -np.pi / 2), ((0, -0.316, 0), np.pi / 2),
    ((0.0825, 0, 0), np.pi / 2), ((-0.0825, 0.384, 0), -np.pi / 2), ((0, 0, 0), np.pi / 2),
    ((0.088, 0, 0), np.pi / 2),
)  # fmt: skip
HAND, GRASP = (0, 0, 0.107), (0, 0, 0.1034)
LIMITS = np.array([
    (-2.8973, 2.8973), (-1.7628, 1.7628), (-2.8973, 2.8973), (-3.0718, -0.0698),
    (-2.8973, 2.8973), (-0.0175, 3.7525), (-2.8973, 2.8973),
])  # fmt: skip


@pytest.fixture(scope='module')
def task():
    return load_task('franka_drawer')


@pytest.fixture(scope='module')
def model(task):
    """As the planner simulates it, true parameters."""
    return load_model(task, mpq_jax.preset('franka_drawer').planner_physics)


def transform(translation, about_x=0.0, about_z=0.0):
    x, z = (np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a in (about_x, about_z))
    turn_x, turn_z, result = np.eye(3), np.eye(3), np.eye(4)
    turn_x[1:, 1:], turn_z[:2, :2] = x, z
    result[:3, :3], result[:3, 3] = turn_x @ turn_z, translation
    return result


def test_hand_is_where_the_published_offsets_put_it(model):
    random, data = np.random.default_rng(0), mujoco.MjData(model)
    for _ in range(20):
        angles = random.uniform(*LIMITS.T)
        hand = np.eye(4)
        for (translation, about_x), angle in zip(LINKS, angles, strict=True):
            hand = hand @ transform(translation, about_x, angle)
        hand = hand @ transform(HAND, about_z=-np.pi / 4) @ transform(GRASP)
        data.qpos[:7] = angles
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(data.site('end_effector').xpos, hand[:3, 3], atol=1e-6)
        turn = data.site('end_effector').xmat.reshape(3, 3)
        np.testing.assert_allclose(turn, hand[:3, :3], atol=1e-6)


def test_limits_masses_and_speeds_are_as_published(model):
    np.testing.assert_allclose(model.jnt_range[:7], LIMITS)
    links = [model.body(f'link{i}').mass[0] for i in range(1, 8)]
    np.testing.assert_allclose(links, [4.97, 0.647, 3.23, 3.59, 1.23, 1.67, 0.736], rtol=5e-3)
    assert model.body('hand').mass[0] == 0.73 + 2 * 0.015
    assert (model.actuator_ctrlrange[:, 1] <= [2.175] * 4 + [2.61] * 3).all()
    assert (model.dof_frictionloss > 0).all()  # or MJX ignores its randomisation


def test_starts_are_inside_the_limits_and_touch_nothing(task, model):
    starts = jax.jit(jax.vmap(task.reset))(jax.random.split(jax.random.key(0), 500))
    qpos, data = np.asarray(starts.qpos), mujoco.MjData(model)
    assert (qpos[:, :7] > LIMITS[:, 0]).all() and (qpos[:, :7] < LIMITS[:, 1]).all()
    assert not qpos[:, 7].any() and not np.asarray(starts.qvel).any()
    np.testing.assert_allclose(qpos[:, :7].mean(axis=0), HOME, atol=0.03)
    assert np.ptp(qpos[:, :7], axis=0).min() > 0.1
    for place in qpos:
        data.qpos[:] = place
        mujoco.mj_forward(model, data)
        assert data.ncon == 0


def test_negative_draws_are_no_friction_at_all(task, model):
    values = {p.name: -0.5 for p in task.parameters}
    edited = edited_model(task, model, values | {'arm_damping': 0.7, 'drawer_frictionloss': 1.1})
    np.testing.assert_allclose(edited.dof_damping, [0.7] * 7 + [0.0])
    np.testing.assert_allclose(edited.dof_frictionloss, [1e-4] * 7 + [1.1])
    draws = draw_parameters(task, jax.random.key(0), 4000)
    for values in draws.values():  # Table 1: 8.9 of 20 parts of the range are below 0
        assert np.isclose(np.mean(values < 0), 0.445, atol=0.03)


def test_paper_preset_is_table_3(task):
    planner = mpq_jax.preset('franka_drawer', 'mpq', 'paper').planner
    figures = (planner.horizon, planner.num_samples, planner.noise_variance, planner.temperature,
               planner.step_size, planner.discount)  # fmt: skip
    assert figures == (10, 36, 4.0, 0.05, 0.55, 0.9)
    assert mpq_jax.preset('franka_drawer', 'mpq', 'paper').learner.target_iterations == 1
    assert task.long_horizon == 64 and task.episode_steps * task.control_timestep == 4.0
