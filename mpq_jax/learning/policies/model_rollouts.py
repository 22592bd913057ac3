"""Rollouts on a learned model, whose actions a planner has improved: DeMoRL's inner loop.

Samineni (2021); Mishra et al. (2022). From a state of the real system a policy is rolled out on one
network. A planner's distribution is put around its actions, and moved by what sampled plans cost on
the same network, with Q at their end. The policy's actions, so moved, are taken from the same state
on another network, and that is kept. Without a move (a `planner.step_size` of 0, or no iteration)
these are the policy's own rollouts: MBPO. Weights decide what else it is: those of the exponential
utility make it MoPAC.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import State, all_finite
from mpq_jax.dynamics.learned import Ensemble, LearnedSimulator
from mpq_jax.learning.policies.sac_step import Experience
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.planner import improve
from mpq_jax.planning.policy_agent import Policy
from mpq_jax.tasks import Reading


class Followed(NamedTuple):
    """What happened on the model, `[L]`."""

    actions: jax.Array  # [L, nu]
    experience: Experience  # [L]
    valid: jax.Array  # [L] bool: a prefix, up to a termination or to what is not finite


class InnerLoop(NamedTuple):
    """Who rolls out, and who improves."""

    agent: Agent  # a planner on the learned simulator, with the network whose Q ends plans
    policy: Policy  # that samples

    def rollouts(
        self, config: BasePlannerConfig, policy_params: Any, q_params: Any, models: Ensemble,
        starts: State, key: jax.Array,
    ) -> Followed:  # fmt: skip
        """Improved rollouts `[S, L]` from S states; a multiple of the networks D, S / D each.

        Args:
          config: the planner's; L is its horizon.
          policy_params: of `policy`.
          q_params: of the agent's network.
          models: the networks that plan, leading axis D.
          starts: `[S]`, of the real system.
          key: random key.
        """
        draws, count = jax.tree.leaves(models)[0].shape[0], starts.qpos.shape[0]
        grouped = jax.tree.map(lambda x: x.reshape(draws, count // draws, *x.shape[1:]), starts)
        keys = jax.random.split(key, (draws, count // draws))
        one = functools.partial(self._improved, config, policy_params, q_params)

        def of_networks(scoring: Ensemble, kept: Ensemble, starts: State, keys) -> Followed:
            scoring, kept = jax.tree.map(lambda x: x[None], (scoring, kept))
            return jax.vmap(one, in_axes=(None, None, 0, 0))(scoring, kept, starts, keys)

        others = jax.tree.map(lambda x: jnp.roll(x, -1, axis=0), models)
        followed = jax.vmap(of_networks)(models, others, grouped, keys)
        return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), followed)

    def _improved(
        self, config: BasePlannerConfig, policy_params, q_params, scoring: Ensemble, kept: Ensemble,
        start: State, key,
    ) -> Followed:  # fmt: skip
        """From one state, on two networks (leading axes 1): plans on one, what is kept on another.

        Kept on the same, it would be what plans have found to be wrong with that network.
        """
        agent = self.agent
        assert agent.planner is not None and agent.planner.around is not None
        policy_key, plan_key, noise_key = jax.random.split(key, 3)
        chosen = jax.random.split(policy_key, config.horizon)
        noise = jax.random.split(noise_key, config.horizon)
        simulator = agent.simulator
        assert isinstance(simulator, LearnedSimulator)
        along = functools.partial(follow, simulator, start=start, noise=noise)

        def act(item, seen: jax.Array) -> jax.Array:
            key, move = item
            return jnp.clip(self.policy(policy_params, seen, key) + move, -1.0, 1.0)

        still = jnp.zeros((config.horizon, simulator.action_size))
        if not config.iterations:
            return along(kept, act=act, items=(chosen, still))
        bare = along(scoring, act=act, items=(chosen, still))
        plan = agent.planner.around(config, bare.actions)
        costs_of = agent.costs_of(config, q_params, scoring, start, plan_key)
        plan, _ = improve(
            agent.planner, config, costs_of, plan, plan_key, iterations=config.iterations
        )
        moves = self._actions(config, plan) - bare.actions
        return along(kept, act=act, items=(chosen, moves))

    def _actions(self, config: BasePlannerConfig, plan) -> jax.Array:
        """Of a plan `[H, nu]`: what a system would do that followed it to its end."""
        planner = self.agent.planner
        assert planner is not None

        def take(plan, _):
            return planner.shift(config, plan), planner.first_action(plan)

        return jax.lax.scan(take, plan, length=config.horizon)[1]


def follow(
    simulator: LearnedSimulator, model: Ensemble, start: State, noise: jax.Array,
    act: Callable[[Any, jax.Array], jax.Array], items: Any,
) -> Followed:  # fmt: skip
    """Takes the actions `act(item, observation)` of items `[L]`, under noise of keys `[L]`.

    `model` is one network, with leading axis 1.
    """
    task, roll = simulator.task, simulator.particles
    assert roll is not None

    def step(carry, item):
        state, reading, alive = carry
        item, key = item
        observation = task.observe(reading, state.variables)
        action = act(item, observation)
        along = roll(model, state, action[None, None], key)
        after, then = jax.tree.map(lambda x: x[0, 1], (along.states, along.readings))
        seen = _experience(simulator, observation, action, (reading, state), (then, after))
        taken = alive & all_finite((seen, after))
        going = taken & ~seen.terminated
        return (after, then, going), (action, seen, taken)

    first = jax.tree.map(lambda x: x[0], model)
    carry = start, simulator.read(first, start), jnp.array(True)
    return Followed(*jax.lax.scan(step, carry, (items, noise))[1])


def _experience(
    simulator: LearnedSimulator, observation, action,
    here: tuple[Reading, State], there: tuple[Reading, State],
) -> Experience:  # fmt: skip
    """Of one step, as an episode on the real system would have it."""
    task = simulator.task
    (reading, state), (then, after) = here, there
    no = jnp.array(False)
    ends = task.terminated(then, after.variables) if task.terminated else no
    ending = task.terminal_cost(then, after.variables) if task.terminal_cost else ()
    return Experience(
        observation=observation,
        action=action,
        cost=task.cost(reading, state.variables, action),
        next_observation=task.observe(then, after.variables),
        terminated=ends,
        next_terminal_cost=ending,
    )
