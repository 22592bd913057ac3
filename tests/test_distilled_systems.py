"""Distilled policies where physics are native, where models are learned, and what they are told."""

import json

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.evaluation.distillation.interface import interface_of
from mpq_jax.evaluation.loading import load_run
from mpq_jax.evaluation.policy_controller import PolicyController
from mpq_jax.planning.policy_agent import PolicyAgent
from mpq_jax.tasks.plant import read_mjcf
from tests.conftest import tiny_config, tiny_lq_config


def test_a_controller_reads_sensors_by_native_mujoco():
    """A policy whose actions are the first of what it observes: where the hand is."""
    task = mpq_jax.load_task('franka_drawer')
    simulator = make_simulator(task, PhysicsConfig(backend='mujoco'))
    agent = PolicyAgent(simulator, None, None, policy=lambda params, seen, key: params * seen[:7])
    models = jax.tree.map(lambda x: x[None], simulator.true_model())
    config = jax.tree.map(jnp.float32, mpq_jax.PlannerConfig())
    controller = PolicyController(config, agent, jnp.float32(0.5), models)
    qpos = np.linspace(-0.4, 0.5, 8) + np.array([0, -0.8, 0, -2.0, 0, 1.5, -0.8, -0.3])
    model = read_mjcf(task)
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    hand, handle = (data.sensor(f'{name}_position').data for name in ('end_effector', 'handle'))
    wanted = 0.5 * np.concatenate([hand, handle, (handle - hand)[:1]])
    np.testing.assert_allclose(controller.act(qpos, np.zeros(8)), wanted, atol=1e-5)
    observation = np.concatenate([wanted / 0.5, np.zeros(32)])
    np.testing.assert_allclose(controller.act_on(observation), wanted, atol=1e-6)
    assert controller.observation_size == len(task.observation_names) == 39


@pytest.mark.parametrize('name', ['pendulum', 'ball_in_cup', 'franka_drawer', 'fetch_push'])
def test_what_goes_in_and_out_has_names(name):
    task = mpq_jax.load_task(name)
    start = task.reset(jax.random.key(0))
    simulator = make_simulator(task, PhysicsConfig(backend='mujoco'))
    reading = simulator.read(simulator.true_model(), simulator.state(start))
    size = task.observe(reading, start.variables).shape[0]
    told = interface_of(task, mpq_jax.preset(name), size, simulator.action_size)
    assert len(set(told['observation'])) == size  # none twice
    assert len(told['action']) == simulator.action_size
    assert told['control_timestep'] == task.control_timestep
    if name == 'pendulum':
        assert told['observation'] == ['cosine', 'sine', 'angular_velocity']
        assert told['action_meaning'].endswith('scaled to the range of each actuator (-2 to 2)')


def test_other_tasks_have_numbers_for_names():
    task = mpq_jax.load_task('tests.conftest:lq_task')
    told = interface_of(task, mpq_jax.Config(), 2, 1)
    assert told['observation'] == ['observation[0]', 'observation[1]']
    assert told['action'] == ['action[0]']


def distilled(run, **fields):
    own = {'episodes': 3, 'distil.expert_episodes': 1, 'distil.hidden_width': 8, 'distil.epochs': 2}
    result = mpq_jax.distil(run.path, own | fields, test_episodes=2)
    there = run.path / 'distilled'
    assert json.loads((there / 'distilled.json').read_text()) == result
    return result, load_run(there)


@pytest.mark.slow
@pytest.mark.parametrize('agent', ['mpq', 'mppi'])
def test_a_planner_on_learned_models_is_distilled_with_them(tmp_path, agent):
    fields = {
        'planner_model': 'learned', 'dynamics.hidden_width': 8, 'dynamics.hidden_layers': 1,
        'dynamics.members': 2, 'dynamics.particles': 2, 'dynamics.epochs': 2,
        'dynamics.batch_size': 4,
    }  # fmt: skip
    run = mpq_jax.train(tiny_lq_config(agent=agent, episodes=3, **fields), tmp_path / 'run')
    _, (programs, saved, _) = distilled(run)
    theirs = load_run(run.path)[1].state
    jax.tree.map(np.testing.assert_array_equal, saved.state.models, theirs.models)
    assert programs.algorithm.explore_episodes == 1  # no random ones
    controller = mpq_jax.load_controller(run.path, policy=True)
    np.testing.assert_array_equal(controller.act([0.3], [0.0]), controller.act_on([0.3]))


@pytest.mark.slow
def test_a_planner_of_a_system_driven_step_by_step(tmp_path):
    """The pendulum on native MuJoCo, planned and driven; the best parameters by validation."""
    fields = {'real_system': 'mujoco', 'planner_physics.backend': 'mujoco', 'episodes': 2}
    run = mpq_jax.train(tiny_config(**fields), tmp_path / 'run')
    result, (_, saved, _) = distilled(run, **{'distil.expert_parameters': 'best'})
    assert np.isfinite(result['policy']['return']['mean'])
    assert saved.counters['env_steps'] == [600, 600]
