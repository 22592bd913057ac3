"""Where Q's data come from: native MuJoCo step by step, and randomised models."""

import dataclasses
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import mpq_jax
from mpq_jax.base import progress
from mpq_jax.base.validation import ConfigError
from mpq_jax.comparison import baselines as comparison
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.randomization import dr_models
from mpq_jax.environments.episode import run_episode
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.planning.agent import Agent
from mpq_jax.runs.metrics import read_table
from mpq_jax.tasks import RandomizedParameter
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_config

# A cart whose named sensors must belong to the state they come with.
CART = """
<mujoco>
  <option timestep="0.01" integrator="RK4"/>
  <worldbody>
    <body name="cart"><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" mass="2"/></body>
  </worldbody>
  <actuator><motor joint="x" ctrllimited="true" ctrlrange="-3 3"/></actuator>
  <sensor><jointpos name="where" joint="x"/><jointvel name="speed" joint="x"/></sensor>
</mujoco>
"""


def test_an_episode_and_a_round_on_either_real_system():
    """To rounding: the same starts, actions, costs and fitted Q."""
    results = {}
    for real_system in ('simulated', 'mujoco'):
        programs = make_programs(tiny_config(real_system=real_system).validate())
        state, summary = programs.collect(programs.initial_state(), 0)
        buffer = jax.tree.map(np.array, state.buffer)
        state, metrics = programs.learn(state, 0)
        results[real_system] = {
            'return': np.asarray(summary.episode_return),
            'first actions': np.asarray(buffer.storage.action[:, :5]),
            'first states': np.asarray(buffer.storage.next_state.qpos[:, :5]),
            'stored': np.asarray(buffer.size),
            'loss': np.asarray(metrics.q_loss),
        }
    for name, expected in results['simulated'].items():
        np.testing.assert_allclose(
            results['mujoco'][name], expected, rtol=2e-3, atol=1e-3 * np.abs(expected).max()
        )


def test_a_run_on_native_mujoco_trains_and_evaluates(tmp_path):
    run = mpq_jax.train(tiny_config(real_system='mujoco', episodes=2), tmp_path / 'run')
    assert np.isfinite(read_table(run.metrics_file, 'return')).all()
    assert (read_table(run.metrics_file, 'env_steps')[:, -1] == 400).all()
    result = mpq_jax.evaluate(run.path, 2)
    assert result['parameters'] == 'last'
    assert len(result['return']['per_seed']['0']['episodes']) == 2


def test_a_long_block_of_episodes_shows_that_it_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, '_SECONDS_BETWEEN_LINES', 0.0)
    config, shown = tiny_config(agent='mppi', real_system='mujoco', episodes=2), io.StringIO()
    mpq_jax.train(config, tmp_path / 'run', console=Console(file=shown))
    assert 'MPPI H=3: control step 77 of 200, 4 episodes' in shown.getvalue()


def test_a_native_systems_sensors_belong_to_its_state():
    task = lq_task(mjcf=CART, control_timestep=0.04, equations=None)
    (system,) = make_native_systems(task, PhysicsConfig(), 1)
    measurement = system.reset(jax.random.key(3))
    for _ in range(5):
        before = measurement.state.qpos.copy(), measurement.state.qvel.copy()
        measurement = system.step(np.array([0.5]))
        state, sensors = measurement.state, measurement.reading.sensors
        np.testing.assert_allclose(sensors['where'], state.qpos)
        np.testing.assert_allclose(sensors['speed'], state.qvel)
        # Constant force 1.5 N on 2 kg, exactly.
        np.testing.assert_allclose(state.qvel, before[1] + 0.04 * 0.75, rtol=1e-5)
        moved = before[0] + 0.04 * before[1] + 0.5 * 0.75 * 0.04**2
        np.testing.assert_allclose(state.qpos, moved, rtol=1e-5, atol=1e-7)


def drifting(**changes):
    """A plant that moves by its parameter, whatever the action."""
    parameters = (RandomizedParameter('drift', 1.0, 2.0, 4.0),)
    equations = lambda p, qpos, qvel, action: (qpos + p['drift'], qvel)  # noqa: E731
    return lq_task(parameters=parameters, equations=equations, **changes)


def test_domain_randomisation_draws_a_model_every_step_from_the_biased_belief():
    simulator = make_simulator(drifting(episode_steps=200))
    config = tiny_config(q_data='dr', dr_bank_size=16)
    bank = dr_models(config, simulator, jax.random.key(5))
    planner = PlannerConfig(horizon=1, num_samples=2)
    agent = Agent(simulator, None)
    models = {'drift': jnp.ones(1)}

    def drifts(plants):
        episode = run_episode(planner, agent, simulator, (), models, jax.random.key(0), plants)
        return np.asarray(episode.transitions.next_state.qpos - episode.transitions.state.qpos)

    np.testing.assert_allclose(drifts(()), 1.0, atol=1e-4)
    drawn = drifts(bank)[:, 0]
    nearest = np.abs(drawn[:, None] - np.asarray(bank['drift'])).min(axis=1)
    assert nearest.max() < 1e-4 and drawn.min() > 2.0 and drawn.max() < 4.0
    assert len(np.unique(drawn.round(3))) > 10  # of 16


def test_randomised_data_for_learning_the_true_system_for_tests():
    mpq_jax.register_task('drifting', drifting)
    fields = {'task': 'drifting', 'q_data': 'dr', 'learner.buffer_capacity': 50}
    programs = make_programs(tiny_config(**fields).validate())
    state, _ = programs.collect(programs.initial_state(), 0)
    stored = state.buffer.storage
    moved = np.asarray(stored.next_state.qpos - stored.state.qpos)[:, :10, 0]
    assert (moved > 1.9).all() and moved.std() > 0.1
    _, recorded = programs.play('test', state, programs.parameters(state, 'last'), [0])
    np.testing.assert_allclose(recorded.next_state.qpos - recorded.state.qpos, 1.0, atol=1e-5)
    _, recorded = programs.play('validation', state, programs.parameters(state, 'last'), [0])
    assert np.all(recorded.next_state.qpos - recorded.state.qpos > 1.9)


def test_settings_of_the_data_that_do_not_go_together():
    with pytest.raises(ConfigError, match="q_data = 'dr'"):
        tiny_config(agent='mppi', q_data='dr').validate()
    with pytest.raises(ConfigError, match="real_system = 'mujoco'"):
        tiny_config(q_data='dr', real_system='mujoco').validate()
    with pytest.raises(ConfigError, match='one of simulated, mujoco'):
        tiny_config(real_system='bullet').validate()


def test_baselines_of_a_run_on_randomised_models_can_run():
    """Q learns from models; what it is held against plays on the real system."""
    config = tiny_config(q_data='dr', **{'training.baselines': True})
    baselines = comparison.baselines(config)
    assert list(baselines) == ['no_control', 'mppi_h3', 'mppi_h32']
    assert {baseline.config.q_data for baseline in baselines.values()} == {'real'}


def test_nothing_is_traced_for_a_system_that_is_driven_from_outside():
    programs = make_programs(tiny_config(real_system='mujoco', **{'real_physics.backend': 'auto'}))
    assert programs.real.backend == 'mujoco' and programs.agent.simulator.backend == 'equations'
    idle = make_programs(tiny_config(agent='none', **{'planner_physics.backend': 'mjx'}))
    assert idle.agent.simulator is idle.real  # nor for one who does not plan


def test_a_registered_system_is_made_where_it_is_driven(tmp_path):
    """Native MuJoCo under another name: as many as there are seeds, and the same rows."""
    made = []

    def make(task, physics, count):
        made.append(count)
        return make_native_systems(task, physics, count)

    def check(task, physics):
        if task.name != 'pendulum':
            raise ConfigError('task', task.name, "'pendulum' here")

    mpq_jax.register_real_system('mine', make, check, most=3)
    config = tiny_config(agent='mppi', episodes=2, num_seeds=2, real_system='mine')
    runs = [
        mpq_jax.train(dataclasses.replace(config, real_system=name), tmp_path / name)
        for name in ('mine', 'mujoco')
    ]
    rows = [read_table(run.metrics_file, 'return') for run in runs]
    np.testing.assert_array_equal(*rows)
    assert made == [2]  # three at once at most: one episode of two seeds
    with pytest.raises(ConfigError, match="'pendulum' here"):
        mpq_jax.train(dataclasses.replace(config, task='ball_in_cup'), tmp_path / 'ball')
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        dataclasses.replace(config, real_system='mina').validate()
