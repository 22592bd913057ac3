"""Terminations: what ending early costs, in plans, targets and on real systems step by step."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.compilation import compile
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import LearnerConfig, PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.environments.stepwise import StepwiseRunner
from mpq_jax.learning import learner
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent
from tests.conftest import at, lq_task, sample_plans

PLANNER = PlannerConfig(horizon=6, num_samples=8, discount=0.5)
# A cart that nothing holds back: from x = 0 at speed 10, one control step of 0.1 s later x = 1.
CART = """
<mujoco>
  <option timestep="0.05"/>
  <worldbody>
    <body><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" ctrllimited="true" ctrlrange="-1e-6 1e-6"/></actuator>
  <sensor><jointpos name="where" joint="x"/></sensor>
</mujoco>
"""


def clock(ends_at, **changes):
    """Counts control steps in qpos; a step costs 1, one beyond the end 100, the end itself 7."""
    fields = {
        'equations': lambda p, qpos, qvel, action: (qpos + 1.0, qvel),
        'reset': lambda key: mpq_jax.Start(jnp.zeros(1), jnp.full(1, 10.0)),
        'cost': lambda reading, variables, action: jnp.where(reading.qpos[0] < ends_at, 1.0, 100.0),
        'terminated': lambda reading, variables: reading.qpos[0] > ends_at - 0.5,
        'terminal_cost': lambda reading, variables: 7.0 + 0.0 * reading.qpos[0],
    }
    return lq_task(**(fields | changes))


def scores_of(simulator, config=PLANNER, start=0.0):
    samples = sample_plans(
        config, simulator, lambda reading, variables, action: jnp.float32(1000.0), (),
        at(simulator, start, 10.0), jnp.zeros((config.horizon, 1)), jax.random.key(0),
    )  # fmt: skip
    return np.asarray(samples.scores)


def expected_score(ends_at, horizon, discount):
    """Written out: steps of 1 until the end or the horizon, then 7 or a Q of 1000."""
    steps = min(ends_at, horizon - 1)
    last = 7.0 if ends_at <= horizon - 1 else 1000.0
    return sum(discount**t for t in range(steps)) + discount**steps * last


@pytest.mark.parametrize('horizon', [1, 2, 6])
@pytest.mark.parametrize('ends_at', [1, 2, 4, 5, 6])
def test_a_plan_costs_what_it_costs_until_it_terminates(ends_at, horizon):
    config = dataclasses.replace(PLANNER, horizon=horizon)
    scores = scores_of(make_simulator(clock(ends_at)), config)
    np.testing.assert_allclose(scores, expected_score(ends_at, horizon, 0.5), rtol=1e-6)


def test_a_plan_from_a_terminal_state_costs_its_terminal_cost():
    scores = scores_of(make_simulator(clock(3)), start=3.0)
    np.testing.assert_allclose(scores, 7.0, rtol=1e-6)


@pytest.mark.parametrize('backend', ['mjx', 'mujoco'])
@pytest.mark.parametrize('ends_at', [1, 3, 9])
def test_every_backend_terminates_alike(backend, ends_at):
    """By a sensor, which belongs to the state before the physics step."""
    ends = lambda reading, variables: reading.sensors['where'][0] > ends_at - 0.5  # noqa: E731
    task = clock(ends_at, mjcf=CART, equations=None, terminated=ends)
    scores = scores_of(make_simulator(task, PhysicsConfig(backend=backend)))
    np.testing.assert_allclose(scores, expected_score(ends_at, 6, 0.5), rtol=1e-5)


def test_what_follows_a_termination_may_be_anything():
    """A state or a cost that is not finite after the end is of no account; before it, it is."""

    def breaks(after):
        return clock(
            3,
            equations=lambda p, qpos, qvel, action: (
                jnp.where(qpos >= after, jnp.nan, qpos + 1.0), qvel,
            ),
            cost=lambda reading, variables, action: jnp.where(
                reading.qpos[0] >= 3, jnp.inf, jnp.float32(1.0)
            ),
        )  # fmt: skip

    np.testing.assert_allclose(
        scores_of(make_simulator(breaks(3))), expected_score(3, 6, 0.5), rtol=1e-6
    )
    assert np.isinf(scores_of(make_simulator(breaks(2)))).all()


def test_an_end_that_is_not_a_number_has_no_score():
    """`not (x < 3)` holds for NaN: a broken state is no termination."""
    task = clock(
        9,
        equations=lambda p, qpos, qvel, action: (jnp.where(qpos >= 2, jnp.nan, qpos + 1.0), qvel),
        terminated=lambda reading, variables: ~(reading.qpos[0] < 8.5),
    )
    assert np.isinf(scores_of(make_simulator(task))).all()


def test_the_target_of_a_termination_is_its_discounted_terminal_cost():
    simulator = make_simulator(clock(3))
    agent = Agent(simulator, None)
    state = jax.vmap(lambda q: at(simulator, q, 10.0))(jnp.array([1.0, 2.0]))
    after = jax.vmap(lambda q: at(simulator, q, 10.0))(jnp.array([2.0, 3.0]))
    batch = Transition(
        state, state.qpos, jnp.zeros((2, 1)), jnp.ones(2), after, after.qpos,
        jnp.array([False, True]), next_terminal_cost=jnp.array([jnp.nan, 7.0]),
    )  # fmt: skip
    config = LearnerConfig(target_iterations=0)
    targets = learner.make_targets(PLANNER, config, agent, (), (), batch, jax.random.key(0))
    # s' = 2 takes one step more: V(s') = 1 + 0.5 x 7, and that of s' = 3 is 7 itself.
    np.testing.assert_allclose(targets, [1 + 0.5 * 4.5, 1 + 0.5 * 7], rtol=1e-5)


def test_what_staying_for_ever_costs():
    reading = mpq_jax.Reading(jnp.zeros(1), jnp.zeros(1), {})
    total = sum(0.9**k * 2.0 for k in range(1000))
    assert np.isclose(mpq_jax.cost_to_go(2.0, 0.9)(reading, ()), total, rtol=1e-6)
    with pytest.raises(ConfigError, match=r'discount = 1\.0 .* below 1'):
        mpq_jax.cost_to_go(2.0, 1.0)
    with pytest.raises(ConfigError, match='cost_per_step = inf'):
        mpq_jax.cost_to_go(float('inf'), 0.9)


def test_a_bonus_is_taken_off_every_step():
    task = lq_task()
    cost = mpq_jax.alive_bonus(5.0, task.cost)
    arguments = mpq_jax.Reading(jnp.ones(1), jnp.zeros(1), {}), (), jnp.zeros(1)
    assert np.isclose(cost(*arguments), task.cost(*arguments) - 5.0)
    with pytest.raises(ConfigError, match='bonus = nan'):
        mpq_jax.alive_bonus(float('nan'), task.cost)


@pytest.mark.parametrize('helper', ['cost_to_go', 'alive_bonus'])
def test_living_is_cheaper_than_ending(helper):
    """With either helper, a plan that goes on scores better than one that ends at once."""
    changes = {'cost': lambda reading, variables, action: 1.0 + 0.0 * reading.qpos[0]}
    if helper == 'cost_to_go':
        changes['terminal_cost'] = mpq_jax.cost_to_go(2.0, 0.5)
    else:
        changes['cost'] = mpq_jax.alive_bonus(3.0, changes['cost'])
        changes['terminal_cost'] = mpq_jax.cost_to_go(0.0, 0.5)

    def worth(ends_at):
        simulator = make_simulator(clock(ends_at, **changes))
        samples = sample_plans(
            PLANNER, simulator, simulator.task.cost, (), at(simulator, 0.0, 10.0),
            jnp.zeros((6, 1)), jax.random.key(0),
        )  # fmt: skip
        return samples.scores[0]

    assert worth(99) < worth(4) < worth(1)


class Counted(SimulatedSystem):
    """Counts the control steps it is asked for."""

    steps = 0

    def step(self, action):
        self.steps += 1
        return super().step(action)


def stepwise_episode(task, count=2):
    """One episode on `count` systems: the episode, the systems, calls of the planner."""
    planner = dataclasses.replace(PLANNER, horizon=2)
    agent = Agent(make_simulator(task), None)
    stacked = jax.tree.map(lambda x: jnp.full(count, x), planner)
    calls = []

    def counting(control_step, shapes, size):
        program = programs.setdefault(size, compile(control_step, *shapes))
        return lambda *args: calls.append(size) or program(*args)

    programs = {}
    runner = StepwiseRunner(stacked, agent, (), (), counting)
    systems = [Counted(agent.simulator) for _ in range(count)]
    keys = jax.random.split(jax.random.key(0), count)
    episode = runner.run(stacked, (), (), systems, keys, keep_plans=True)
    return episode, systems, calls


def starting_at(places):
    """A clock whose members start at these places, by their keys' order."""
    keys = jax.random.split(jax.random.key(0), len(places))
    first = jax.vmap(lambda key: jax.random.key_data(jax.random.split(key)[0]))(keys)

    def reset(key):
        same = (jax.random.key_data(key) == first).all(axis=-1)
        return mpq_jax.Start(jnp.sum(jnp.where(same, jnp.array(places), 0.0))[None], jnp.ones(1))

    return reset


def test_nothing_is_planned_when_every_episode_has_ended():
    episode, systems, calls = stepwise_episode(clock(6, reset=starting_at([2.0, 4.0])))
    assert [system.steps for system in systems] == [4, 2]
    # Half of them go on after the third, and the last sees that the first member has ended.
    assert calls == [2, 2, 2, 1, 1]
    np.testing.assert_array_equal(episode.summary.env_steps, [4, 2])
    np.testing.assert_array_equal(episode.valid.sum(axis=1), [4, 2])
    np.testing.assert_array_equal(episode.summary.episode_return, [-4.0 - 7.0, -2.0 - 7.0])
    assert episode.valid.shape == (2, 10)
    assert episode.transitions.next_plan.shape == (2, 10, 2, 1)
    assert episode.transitions.terminated[0, 3] and episode.transitions.terminated[1, 1]


def test_a_member_that_goes_on_is_not_touched_by_one_that_has_ended():
    """What it does beside a member that goes on too, planned alone once the other has ended."""
    ended, _, calls = stepwise_episode(clock(6, reset=starting_at([-9.0, 4.0])))
    beside, _, _ = stepwise_episode(clock(6, reset=starting_at([-9.0, -9.0])))
    assert calls == [2] * 3 + [1] * 8
    for one, other in zip(jax.tree.leaves(ended), jax.tree.leaves(beside), strict=True):
        np.testing.assert_allclose(one[0], other[0], rtol=1e-5, atol=1e-6)


def test_many_members_are_planned_for_as_long_as_they_go_on():
    """Eight that end one after the other: never more than twice as many plans as are wanted."""
    starts = [5.0, 4.0, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0]
    episode, systems, calls = stepwise_episode(clock(6, reset=starting_at(starts)), count=8)
    lengths = [int(6 - start) for start in starts]
    assert [system.steps for system in systems] == lengths
    np.testing.assert_array_equal(episode.summary.env_steps, lengths)
    np.testing.assert_array_equal(episode.summary.episode_return, [-n - 7.0 for n in lengths])
    going = [8, *(sum(n > t for n in lengths) for t in range(8))]
    assert all(size < 2 * max(1, before) for size, before in zip(calls, going, strict=False))
    assert calls == sorted(calls, reverse=True) and set(calls) == {8, 4, 2, 1}
