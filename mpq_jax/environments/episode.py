"""One episode of an agent on a real system that is itself JAX: a single scan."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import Model, Simulator, State, all_finite
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.planner import Diagnostics
from mpq_jax.tasks import Reading, Task, Variables


class Instant(NamedTuple):
    """What a task says of one instant of the real system, and the action taken there."""

    state: State
    observation: jax.Array
    action: jax.Array
    cost: jax.Array
    success: jax.Array  # bool; False where the task has none
    terminated: jax.Array  # bool; of `state` itself
    terminal_cost: Any = ()  # of ending in `state`; () where the task never terminates


class Summary(NamedTuple):
    """One episode in scalars."""

    # Minus the sum of costs, undiscounted, and of the terminal cost where the episode terminated;
    # NaN where no step was taken: nothing is known of such an episode.
    episode_return: jax.Array
    success: jax.Array  # at some instant
    success_at_end: jax.Array  # at the last one reached
    success_share: jax.Array  # of the instants after the start
    env_steps: jax.Array  # real control steps taken
    nonfinite_steps: jax.Array  # real steps that ended the episode by leaving the finite numbers
    nonfinite_fraction: jax.Array  # of sampled plans
    effective_sample_size: jax.Array
    ess_missed: jax.Array  # share of the plans whose `target_ess` no temperature allowed reaches
    action_change: jax.Array  # mean square, of an action's entries from a step to the next
    # By a real system's own rewards, and whether it ended by its own rule; NaN where it has none.
    own_return: Any = np.nan
    own_terminated: Any = np.nan


SUCCESSES = ('success', 'success_at_end', 'success_share')  # of a Summary


class Episode(NamedTuple):
    transitions: Transition  # [T]
    valid: jax.Array  # [T] bool: a prefix; the rest is filling
    summary: Summary


def describe(task: Task, reading: Reading, variables: Variables, state: State, action) -> Instant:
    """Reads observation, cost, success and termination of one instant."""
    no = jnp.array(False)
    return Instant(
        state=state,
        observation=task.observe(reading, variables),
        action=action,
        cost=task.cost(reading, variables, action),
        success=task.success(reading, variables) if task.success else no,
        terminated=task.terminated(reading, variables) if task.terminated else no,
        terminal_cost=task.terminal_cost(reading, variables) if task.terminal_cost else (),
    )


def example_transition(real: Simulator, next_plan=()) -> Transition:
    """The shapes and types of one transition of a real system, which keeps plans like that one."""

    def first():
        state = real.state(real.task.reset(jax.random.key(0)))
        reading = real.read(real.true_model(), state)
        here = describe(real.task, reading, state.variables, state, jnp.zeros(real.action_size))
        return Transition(
            state, here.observation, here.action, here.cost, state, here.observation,
            here.terminated, next_plan, here.terminal_cost,
        )  # fmt: skip

    return jax.eval_shape(first)


def episode_keys(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Keys for the start state and for the planner; step t plans with fold_in(planner key, t)."""
    start_key, plan_key = jax.random.split(key)
    return start_key, plan_key


def run_episode(
    planner: BasePlannerConfig,
    agent: Agent,
    real: Simulator,
    q_params: QParams,
    models: Model,
    key: jax.Array,
    plants: Model = (),
    keep_plans: bool = False,
) -> Episode:
    """Runs one episode on the true model of `real`, as one scan of `episode_steps`.

    Args:
      planner: the planner's config.
      agent: who acts.
      real: the real system's physics.
      q_params: the agent's.
      models: the planner's, leading axis D.
      key: the episode's; fixes the start and the planner's noise.
      plants: models of the system itself, leading axis M, one of which is drawn for every
        control step (domain randomisation); () for the true one throughout.
      keep_plans: whether transitions hold the plan at s', for targets that start from it.

    Returns:
      The transitions, a prefix of which is valid: an episode ends at a termination, and before
      a step that leaves the finite numbers.
    """
    task, true_model = real.task, real.true_model()
    start_key, plan_key = episode_keys(key)
    start = real.state(task.reset(start_key))

    def plant_at(t) -> Model:
        """The system's model at a control step."""
        bank = jax.tree.leaves(plants)
        if not bank:
            return true_model
        place = jax.random.randint(keys.plant_key(key, t), (), 0, bank[0].shape[0])
        return jax.tree.map(lambda leaf: leaf[place], plants)

    def control_step(carry, t):
        state, plan, alive = carry
        step_key = jax.random.fold_in(plan_key, t)
        seen = real.read(plant_at(t), state) if agent.reads else None
        action, plan, info = agent.act(planner, q_params, models, state, plan, step_key, seen)
        following, reading = real.step(plant_at(t), state, action)
        instant = describe(task, reading, state.variables, state, action)
        finite = all_finite((following, instant.cost, instant.observation))
        taken = alive & ~instant.terminated & finite
        broken = alive & ~instant.terminated & ~finite
        state = jax.tree.map(lambda new, old: jnp.where(taken, new, old), following, state)
        kept = plan if keep_plans else ()
        return (state, plan, taken), (instant, taken, broken, info, kept)

    carry = (start, agent.first_plan(planner), jnp.array(True))
    (last_state, _, _), history = jax.lax.scan(control_step, carry, jnp.arange(task.episode_steps))
    instants, valid, broken, info, plans = history
    reading = real.read(plant_at(task.episode_steps), last_state)
    last = describe(task, reading, last_state.variables, last_state, instants.action[-1])
    return assemble(instants, last, valid, broken, info, plans)


def assemble(
    instants: Instant,
    last: Instant,
    valid: jax.Array,
    broken: jax.Array,
    info: Diagnostics,
    plans: Any = (),
) -> Episode:
    """Joins the instants `[T]` of an episode, and the one after them, into transitions.

    `plans` `[T, ...]` are those after each step, or ().
    """
    following = jax.tree.map(lambda x, end: jnp.concatenate([x[1:], end[None]]), instants, last)
    transitions = Transition(
        state=instants.state,
        observation=instants.observation,
        action=instants.action,
        cost=instants.cost,
        next_state=following.state,
        next_observation=following.observation,
        terminated=following.terminated,
        next_plan=plans,
        next_terminal_cost=following.terminal_cost,
    )
    steps = jnp.sum(valid, dtype=jnp.int32)
    final = jnp.maximum(steps - 1, 0)
    summary = Summary(
        episode_return=_episode_return(transitions, valid, final),
        success=jnp.any(valid & (instants.success | following.success)),
        success_at_end=valid[final] & following.success[final],
        success_share=_mean(following.success, valid),
        env_steps=steps,
        nonfinite_steps=jnp.sum(broken, dtype=jnp.int32),
        nonfinite_fraction=_mean(info.nonfinite_fraction, valid),
        effective_sample_size=_mean(info.effective_sample_size, valid),
        ess_missed=_mean(info.misses_target, valid),
        action_change=_mean(_changes(instants.action), valid[1:]),
        own_return=jnp.nan * final,
        own_terminated=jnp.nan * final,
    )
    return Episode(transitions, valid, summary)


def _episode_return(transitions: Transition, valid: jax.Array, final: jax.Array) -> jax.Array:
    total = jnp.sum(jnp.where(valid, transitions.cost, 0.0))
    if not isinstance(transitions.next_terminal_cost, tuple):
        ending = transitions.next_terminal_cost[final]
        total += jnp.where(transitions.terminated[final], ending, 0.0)
    return jnp.where(valid[final], -total, jnp.nan)


def _changes(actions: jax.Array) -> jax.Array:
    """Mean squared differences `[T - 1]` of successive actions `[T, nu]`."""
    return jnp.mean(jnp.square(actions[1:] - actions[:-1]), axis=-1)


def _mean(values: jax.Array, valid: jax.Array) -> jax.Array:
    """Over the control steps taken; 0 where none was."""
    return jnp.sum(jnp.where(valid, values, 0.0)) / jnp.maximum(jnp.sum(valid), 1)
