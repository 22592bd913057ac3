"""One episode: where it ends, what of it is kept."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.episode import episode_keys, run_episode
from mpq_jax.planning.agent import Agent
from tests.conftest import lq_task

PLANNER = PlannerConfig(horizon=2, num_samples=4)


def episode_of(task):
    simulator = make_simulator(task)
    agent = Agent(simulator, None)
    return jax.jit(lambda key: run_episode(PLANNER, agent, simulator, (), (), key))(
        jax.random.key(0)
    )


def clock(**changes):
    """A plant that counts its steps in qvel, whatever the actions."""
    return lq_task(equations=lambda p, qpos, qvel, action: (qpos, qvel + 1.0), **changes)


def test_a_time_limit_keeps_every_step_and_terminates_none():
    episode = episode_of(clock(cost=lambda reading, variables, action: reading.qvel[0]))
    assert episode.valid.all() and not episode.transitions.terminated.any()
    assert episode.summary.episode_return == -sum(range(10))
    np.testing.assert_array_equal(episode.transitions.state.qvel[:, 0], np.arange(10))
    np.testing.assert_array_equal(episode.transitions.next_state.qvel[:, 0], np.arange(1, 11))
    changes = np.diff(episode.transitions.action, axis=0) ** 2
    np.testing.assert_allclose(episode.summary.action_change, changes.mean(), rtol=1e-6)


def test_a_termination_ends_the_episode_and_is_stored():
    task = clock(
        cost=lambda reading, variables, action: reading.qvel[0],
        terminated=lambda reading, variables: reading.qvel[0] >= 4,
        terminal_cost=lambda reading, variables: 100.0 * reading.qvel[0],
        success=lambda reading, variables: reading.qvel[0] == 4,
    )
    episode = episode_of(task)
    np.testing.assert_array_equal(episode.valid, np.arange(10) < 4)
    np.testing.assert_array_equal(episode.transitions.terminated[:4], [False, False, False, True])
    assert episode.summary.success and episode.summary.env_steps == 4
    assert episode.summary.episode_return == -(0 + 1 + 2 + 3) - 400
    assert episode.transitions.next_terminal_cost[3] == 400
    changes = np.diff(episode.transitions.action[:4], axis=0) ** 2
    np.testing.assert_allclose(episode.summary.action_change, changes.mean(), rtol=1e-6)
    assert not episode_of(clock()).summary.success


def test_a_nonfinite_real_step_ends_the_episode_and_is_not_stored():
    def breaks(parameters, qpos, qvel, action):
        return jnp.where(qvel >= 6, jnp.nan, qpos), qvel + 1.0

    episode = episode_of(dataclasses.replace(clock(), equations=breaks))
    np.testing.assert_array_equal(episode.valid, np.arange(10) < 6)
    kept = jax.tree.map(lambda leaf: leaf[:6], episode.transitions)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(kept))
    assert episode.summary.nonfinite_steps == 1 and episode.summary.env_steps == 6
    assert np.isfinite(episode.summary.episode_return)


def test_an_episode_without_a_single_step_has_no_return():
    """Costs are at least 0 here: a return of 0 would be the best there is."""
    simulator = make_simulator(clock())
    broken = dataclasses.replace(
        simulator,
        step=lambda model, state, action: (
            state._replace(qpos=jnp.nan * state.qpos), simulator.read(model, state),
        ),
    )  # fmt: skip
    summary = jax.jit(
        lambda key: run_episode(PLANNER, Agent(simulator, None), broken, (), (), key).summary
    )(jax.random.key(0))
    assert summary.env_steps == 0 and np.isnan(summary.episode_return)


def test_the_plan_that_is_kept_is_the_one_the_agent_had(equations_pendulum):
    """From the plan kept with s', with the next step's key, the agent takes the next action."""
    planner = PlannerConfig(horizon=3, num_samples=4)
    agent, key = Agent(equations_pendulum, None), jax.random.key(0)
    models = jax.tree.map(lambda leaf: leaf[None], equations_pendulum.true_model())
    episode = jax.jit(
        lambda key: run_episode(
            planner, agent, equations_pendulum, (), models, key, keep_plans=True
        )
    )(key)
    steps = episode.transitions
    assert steps.next_plan.shape == (200, 3, 1)
    _, plan_key = episode_keys(key)
    for t in (0, 1, 57):
        here = jax.tree.map(lambda x, t=t: x[t], (steps.next_state, steps.next_plan))
        action, _, _ = agent.act(planner, (), models, *here, jax.random.fold_in(plan_key, t + 1))
        np.testing.assert_allclose(action, steps.action[t + 1], atol=1e-5)
