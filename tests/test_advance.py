"""Variables that evolve: a task that uses all of it, the same on every backend and real system."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import rollout
from mpq_jax.environments.episode import run_episode
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.environments.stepwise import StepwiseRunner
from mpq_jax.planning import scoring
from mpq_jax.planning.agent import Agent
from mpq_jax.runs.metrics import read_rows
from mpq_jax.tasks.check import check_task
from tests.test_any_model import PLAIN, task_of

STEP = 0.02
PLANNER = PlannerConfig(horizon=4, num_samples=6, temperature=1.0, noise_variance=1.0)


def goal(time):
    return 0.3 * jnp.sin(3.0 * time)


def advance(reading, variables, action):
    """The time, a goal that moves with it, the action before, and how far the end has come."""
    time = variables['time'] + STEP
    end = reading.sensors['end'][0]
    return {
        'time': time, 'goal': goal(time), 'before': action,
        'farthest': jnp.maximum(variables['farthest'], end),
    }  # fmt: skip


def cost(reading, variables, action):
    away = reading.sensors['end'][0] - variables['goal']
    return away**2 + jnp.sum((action - variables['before']) ** 2) + variables['farthest']


def variables(key):
    return {
        'time': jnp.float32(0.0), 'goal': goal(0.0), 'before': jnp.zeros(1),
        'farthest': jnp.float32(0.0),
    }  # fmt: skip


def tracking(**changes):
    fields = {
        'name': 'tracking', 'cost': cost, 'advance': advance,
        'views': {'end': mpq_jax.View('site', 'end')},
        'reset': mpq_jax.starts_near(PLAIN, 'home', position_noise=0.2, variables=variables),
        'observe': lambda reading, variables: jnp.concatenate(
            [reading.qpos, reading.qvel, variables['goal'][None]]
        ),
    }  # fmt: skip
    return task_of(**(fields | changes))


TASK = tracking()
BACKENDS = [
    PhysicsConfig('mjx', straight_line='off'), PhysicsConfig('mjx', straight_line='on'),
    PhysicsConfig('mujoco'),
]  # fmt: skip


@pytest.mark.parametrize('physics', BACKENDS, ids=['arrays', 'straight-line', 'native'])
@pytest.mark.parametrize('ends', [False, True])
def test_a_rollout_has_them_as_a_loop_does(physics, ends):
    """Costs of each instant with its own variables; the planner's score with the last ones."""
    never = {
        'terminated': lambda reading, variables: variables['time'] > 1.0,
        'terminal_cost': lambda reading, variables: 5.0 * variables['time'],
    }
    simulator = mpq_jax.make_simulator(tracking(**never) if ends else TASK, physics)
    start, model = simulator.state(TASK.reset(jax.random.key(0))), simulator.true_model()
    actions = jnp.array([[0.3], [-0.5], [0.9]])
    steps = jax.jit(lambda: rollout(simulator, model, start, actions, keep=True))()
    assert steps.along is not None
    values, sensed = variables(None), steps.along.readings
    for t in range(4):
        here = jax.tree.map(lambda x, t=t: x[t], steps.along)
        for name, value in values.items():
            np.testing.assert_allclose(here.states.variables[name], value, atol=1e-6)
        assert here.observations[-1] == here.states.variables['goal']
        if t < 3:
            reading = jax.tree.map(lambda x, t=t: x[t], sensed)
            np.testing.assert_allclose(steps.costs[t], cost(reading, values, actions[t]), rtol=1e-5)
            values = advance(reading, values, actions[t])
    plan = jnp.concatenate([actions, jnp.ones((1, 1))])
    total = scoring.trajectory_cost(PLANNER, simulator, TASK.cost, model, start, plan)
    last = jax.tree.map(lambda x: x[3], sensed)
    paid = [*steps.costs, cost(last, values, plan[3])]
    expected = sum(PLANNER.discount**t * c for t, c in enumerate(paid))
    np.testing.assert_allclose(total, expected, rtol=1e-5)


@pytest.mark.slow
def test_an_episode_has_them_on_every_real_system():
    """One program, and step by step on native MuJoCo: where plans start, and what is kept."""
    simulator = mpq_jax.make_simulator(TASK, BACKENDS[0])
    agent = Agent(simulator, None)
    models = jax.tree.map(lambda x: x[None], simulator.true_model())
    keys = jax.random.split(jax.random.key(3), 2)
    run = jax.vmap(lambda key: run_episode(PLANNER, agent, simulator, (), models, key))
    one = jax.jit(run)(keys)
    pair = jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *jnp.shape(x))), (PLANNER, models))
    runner = StepwiseRunner(pair[0], agent, (), pair[1])
    other = runner.run(pair[0], (), pair[1], make_native_systems(TASK, BACKENDS[2], 2), keys)
    for episode in (one, other):
        held = episode.transitions.state.variables
        np.testing.assert_allclose(held['time'], np.tile(np.arange(5) * STEP, (2, 1)), atol=1e-6)
        np.testing.assert_allclose(held['before'][:, 1:], episode.transitions.action[:, :-1])
        later = episode.transitions.next_state.variables
        np.testing.assert_array_equal(later['goal'][:, :-1], held['goal'][:, 1:])
    np.testing.assert_allclose(other.summary.episode_return, one.summary.episode_return, rtol=1e-3)


def test_a_controller_keeps_them_between_the_calls():
    mpq_jax.register_task('tracking', lambda: TASK)
    small = {'planner.horizon': 2, 'planner.num_samples': 4, 'belief.num_draws': 1}
    controller = mpq_jax.make_controller(
        mpq_jax.set_fields(mpq_jax.preset('tracking', 'mppi'), small)
    )
    told = {'qpos': [0.2, 0.4], 'qvel': [0.0, 0.0]}
    with pytest.raises(ConfigError, match=r'variables = .*those of the task'):
        controller.act(**told)
    assert np.isnan(controller.staleness)
    first = controller.act(**told, variables=variables(None))
    assert controller.staleness >= 0
    plan = controller.plan
    second = controller.act(**told)
    for given in (variables(None), None):  # and begins again as it began, where it is told so
        controller.reset()
        np.testing.assert_array_equal(controller.act(**told, variables=variables(None)), first)
        then = advance(_reading(), variables(None), jnp.asarray(first))
        np.testing.assert_allclose(controller.plan, plan)
        np.testing.assert_allclose(
            controller.act(**told, variables=given and then), second, atol=1e-5
        )
    controller.reset(plan=np.full((2, 1), 0.9))
    assert not np.allclose(controller.act(**told, variables=variables(None)), first)
    with pytest.raises(ConfigError, match=r'plan = .*\(2, 1\)'):
        controller.reset(plan=np.zeros(3))


def _reading():
    simulator = mpq_jax.make_simulator(TASK, BACKENDS[0])
    start = simulator.state(mpq_jax.Start(jnp.array([0.2, 0.4]), jnp.zeros(2), variables(None)))
    return simulator.read(simulator.true_model(), start)


@pytest.mark.parametrize('returned', [(), {'time': 0.0}, jnp.zeros(3), {'time': jnp.zeros(2)}])
def test_what_advance_returns_must_be_as_what_it_got(returned):
    task = task_of(
        reset=lambda key: mpq_jax.Start(jnp.zeros(2), jnp.zeros(2), {'time': jnp.float32(0)}),
        advance=lambda reading, variables, action: returned,
    )
    with pytest.raises(TaskError, match=r"advance returned .*variables as reset's.*time.*float32"):
        check_task(task)


@pytest.mark.parametrize('real_system', ['simulated', 'mujoco'])
def test_runs_train_on_them(real_system, tmp_path):
    mpq_jax.register_task('tracking', lambda: TASK)
    fields = {
        'episodes': 2, 'num_seeds': 2, 'planner.horizon': 3, 'planner.num_samples': 4,
        'belief.num_draws': 1, 'learner.num_states': 8, 'learner.minibatch_size': 4,
        'learner.epochs': 1, 'real_system': real_system, 'planner_physics.backend': 'mjx',
        'training.validation_episodes': 1,
    }  # fmt: skip
    config = mpq_jax.set_fields(mpq_jax.preset('tracking', 'mpq'), fields)
    rows = read_rows(mpq_jax.train(config, tmp_path / 'run').metrics_file)
    assert all(np.isfinite(float(row['return'])) for row in rows) and rows[-1]['q_loss']
