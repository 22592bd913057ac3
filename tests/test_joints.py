"""Where parts meet: models and runs, plans and episodes, target networks and targets."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.config import BeliefConfig, LearnerConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.learning import learner
from mpq_jax.learning.q_function import QNetwork
from mpq_jax.planning import mppi
from mpq_jax.planning.agent import Agent
from mpq_jax.training.assembly import make_programs
from tests.conftest import at, lq_task, tiny_config
from tests.test_learner import stored, transitions


def models_of_a_run(**changes):
    """By name, `[seeds, D]`."""
    return make_programs(tiny_config(**changes)).initial_state().models


def test_a_planner_that_knows_the_true_model_plans_with_it_alone(pendulum):
    """Of the published parameters; the biased one has draws that are none of them."""
    true, biased = models_of_a_run(planner_model='true'), models_of_a_run()
    assert {p.name: p.true_value for p in pendulum.parameters} == {'mass': 1.0, 'length': 1.0}
    for leaf in jax.tree.leaves(true):
        np.testing.assert_array_equal(leaf, np.ones((2, 1)))
    for leaf in jax.tree.leaves(biased):
        assert leaf.shape == (2, 4) and (np.asarray(leaf) != 1.0).all()


def test_an_episode_draws_its_models_from_the_whole_bank():
    belief = BeliefConfig(redraw='episode', bank_size=8, num_draws=4)
    pick = jax.jit(lambda e: episode_models(belief, jnp.arange(8), jax.random.key(1), e))
    picks = np.array([pick(episode) for episode in range(60)])
    assert all(len(set(each)) == 4 for each in picks.tolist())
    counts = np.bincount(picks.ravel(), minlength=8)
    # Each model is in an episode with probability 1/2: 30 of 60, standard deviation 3.9.
    assert (np.abs(counts - 30) < 16).all() and len({tuple(sorted(p)) for p in picks}) > 20


def test_the_agent_acts_on_its_plan_and_hands_on_the_rest():
    """One improvement of the plan, its first action executed, what is left moved up by one."""
    config = PlannerConfig(horizon=4, num_samples=16)
    agent = Agent(make_simulator(lq_task()), None)
    plan, key = jnp.array([[0.3], [-0.4], [0.9], [0.2]]), jax.random.key(2)
    state = at(agent.simulator, 0.5, 0.0)
    improved, _ = mppi.plan(
        config, agent.simulator, agent.simulator.task.cost, (), state, plan, key
    )
    action, rest, _ = agent.act(config, (), (), state, plan, key)
    np.testing.assert_allclose(action, np.clip(improved[0], -1, 1), atol=1e-6)
    np.testing.assert_allclose(rest, [*improved[1:], [0.0]], atol=1e-6)


def test_targets_come_from_the_target_network():
    """Ten more in its last bias are ten more at the end of every plan: gamma^H of them in y."""
    agent = Agent(make_simulator(lq_task()), QNetwork(8, 2))
    batch = transitions(agent.simulator, 64)
    buffer = stored(batch, 64)
    planner = PlannerConfig(horizon=3, num_samples=8, discount=0.9)
    learn = jax.jit(learner.learn, static_argnums=2)
    config = LearnerConfig(num_states=32, minibatch_size=32, epochs=1, target_network=True)

    def target_mean(config, shift):
        state = learner.init(config, agent, jnp.zeros(1), jax.random.key(0))
        if config.target_network:
            moved = jax.tree.map(lambda x: x, state.target_params)
            moved['params']['Dense_2']['bias'] += shift
            state = state._replace(target_params=moved)
        _, metrics = learn(planner, config, agent, (), state, buffer, jax.random.key(1))
        return float(metrics.target_mean)

    at_rest = target_mean(config, 0.0)
    assert np.isclose(target_mean(config, 10.0) - at_rest, 10.0 * 0.9**3, atol=1e-3)
    without = dataclasses.replace(config, target_network=False)
    assert np.isclose(target_mean(without, 10.0), at_rest, atol=1e-4)
