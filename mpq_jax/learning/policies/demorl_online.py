"""DeMoRL that plans as it acts: the planner's action is executed, soft actor-critic gives its Q.

Short plans on a learned model, Q at their end; among the samples are rollouts of the policy. The
structure of the authors' controller for robots, and of LOOP's.
"""

import dataclasses
import functools
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import ConfigError, check_between
from mpq_jax.config import BasePlannerConfig, Config
from mpq_jax.dynamics import Simulator, State
from mpq_jax.dynamics.learned import Ensemble, LearnedSimulator
from mpq_jax.learning.algorithm import Algorithm, MemberState
from mpq_jax.learning.policies import sac
from mpq_jax.learning.policies.model_rollouts import follow
from mpq_jax.learning.policies.networks import CostToGo, Params, make_actor_critic
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.planner import Candidates, Plan, Update, diagnose
from mpq_jax.planning.planners import load_planner_around
from mpq_jax.planning.policy_agent import Policy


class OnlineParams(NamedTuple):
    policy: Params
    q: tuple[Params, Any]  # of `CostToGo`


@dataclasses.dataclass(frozen=True, eq=False)
class OnlineAgent(Agent):
    """A planner whose first samples are rollouts of a policy."""

    policy: Policy | None = None
    policy_rollouts: int = 0
    explores: bool = False  # takes one of the plans, by its weight; or their mean

    reads: ClassVar[bool] = False

    def act(self, config, q_params: OnlineParams, models, state, plan, key, reading=None):
        """See `Agent.act`."""
        planner = self.planner
        assert planner is not None
        costs_of = self.costs_of(config, q_params.q, models, state, key)
        rollout_key, plan_key, choice_key = jax.random.split(key, 3)
        followed = self.rollouts(config, q_params.policy, models, state, rollout_key)

        def iterate(plan, key):
            candidates = self.sample(config, plan, followed, key)
            update = planner.update(config, plan, candidates, costs_of(candidates.actions))
            return update.plan, (candidates.actions[:, 0], update)

        keys = jax.random.split(plan_key, config.iterations)
        improved, history = jax.lax.scan(iterate, plan, keys)
        last: tuple[jax.Array, Update] = jax.tree.map(lambda x: x[-1], history)
        actions, update = last
        action = planner.first_action(improved)
        if self.explores:
            chosen = jax.random.categorical(choice_key, jnp.log(update.weights))
            action = jnp.where(update.weights.sum() > 0, actions[chosen], action)
        return action, self._next(config, improved), diagnose(update)

    def rollouts(
        self, config: BasePlannerConfig, params: Params, models: Ensemble, state: State, key
    ) -> jax.Array:
        """The policy's actions `[K, H, nu]` along rollouts, on the networks in turn."""
        simulator, count = self.simulator, self.policy_rollouts
        assert isinstance(simulator, LearnedSimulator) and self.policy is not None
        policy, draws = self.policy, jax.tree.leaves(models)[0].shape[0]

        def one(place, key):
            model = jax.tree.map(lambda x: x[place % draws][None], models)
            chosen, noise = jax.random.split(key, (2, config.horizon))
            act = functools.partial(_chosen, policy, params)
            return follow(simulator, model, state, noise, act, chosen).actions

        return jax.vmap(one)(jnp.arange(count), jax.random.split(key, count))

    def sample(
        self, config: BasePlannerConfig, plan: Plan, followed: jax.Array, key: jax.Array
    ) -> Candidates:
        """The planner's samples `[N]`, the first K of which are the policy's `[K, H, nu]`."""
        assert self.planner is not None and self.planner.mean is not None
        sampled, count = self.planner.sample(config, plan, key), len(followed)
        return Candidates(
            sampled.actions.at[:count].set(followed),
            sampled.drawn.at[:count].set(followed - self.planner.mean(plan)),
        )

    def _next(self, config: BasePlannerConfig, plan: Plan) -> Plan:
        """A control step later, the covariance as at the start."""
        planner = self.planner
        assert planner is not None and planner.around is not None and planner.mean is not None
        return planner.around(config, planner.mean(planner.shift(config, plan)))


def _chosen(policy: Policy, params: Params, key: jax.Array, seen: jax.Array) -> jax.Array:
    return policy(params, seen, key)


def make_demorl_online(config: Config, simulator: Simulator) -> Algorithm:
    """Learns as SAC does, from real data alone. Raises ConfigError."""
    rollouts, samples = config.demorl.policy_rollouts, config.planner.num_samples
    check_between('demorl.policy_rollouts', rollouts, 1, samples)
    networks = make_actor_critic(config.sac, simulator.action_size)
    planner = load_planner_around(config)
    if planner.mean is None:
        raise ConfigError(
            'planner.name', config.planner.name, "'mppi', 'dmd' or 'cem', whose plans have a mean"
        )
    agent = OnlineAgent(
        simulator, CostToGo(networks), planner, config.execution, networks.sampled,
        rollouts,
    )  # fmt: skip
    explorer = dataclasses.replace(agent, explores=True)
    return sac.make_sac(config, simulator)._replace(collect=explorer, play=agent, params=_params)


def _params(state: MemberState) -> OnlineParams:
    learned = state.learner
    return OnlineParams(learned.trained.policy, (learned.trained.qs, learned.reward_scale))
