"""The DeMo Layer: one correction, by planning, of what another run's policy is about to do.

At each control step the policy is rolled out on the model; its actions are the mean of the plans
that are sampled, and the planner moves that mean by its step size. A step of 0 is the bare policy.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import BasePlannerConfig, Config
from mpq_jax.dynamics import Model, Simulator, State
from mpq_jax.learning.algorithm import Algorithm, MemberState
from mpq_jax.learning.policies.other_run import OtherRun
from mpq_jax.planning.agent import QParams
from mpq_jax.planning.planner import improve
from mpq_jax.planning.planners import load_planner_around
from mpq_jax.planning.policy_agent import PolicyAgent
from mpq_jax.tasks import Reading


class LayerParams(NamedTuple):
    policy: Any  # of the policy
    q: QParams = ()  # of the network that ends the plans; () where the stage cost does


@dataclasses.dataclass(frozen=True, eq=False)
class DemoLayer(PolicyAgent):
    """A policy and the planner that corrects it; no plan is kept from one step to the next."""

    def first_plan(self, config: BasePlannerConfig) -> tuple:
        return ()

    def act(self, config, q_params: LayerParams, models, state, plan, key, reading=None):
        """See `Agent.act`."""
        assert self.planner is not None and self.planner.around is not None
        mean = self.along(config.horizon, q_params.policy, models, state, key, reading)
        costs_of = self.costs_of(config, q_params.q, models, state, key)
        improved, info = improve(
            self.planner, config, costs_of, self.planner.around(config, mean), key,
            iterations=config.iterations, devices=self.execution.sample_devices,
        )  # fmt: skip
        return self.planner.first_action(improved), plan, info

    def along(
        self, horizon: int, params: Any, models: Model, state: State, key: jax.Array,
        reading: Reading | None = None,
    ) -> jax.Array:  # fmt: skip
        """The policy's actions `[H, nu]` along its rollout on the first of the models.

        No control where the rollout leaves the finite numbers; `reading` is the real system's.
        """
        assert self.policy is not None
        policy, task = self.policy, self.simulator.task
        model = jax.tree.map(lambda x: x[0], models)

        def action_at(observation) -> jax.Array:
            return jnp.clip(policy(params, observation, key), -1.0, 1.0)

        def step(carry, _):
            state, action = carry
            following, _ = self.simulator.step(model, state, action)
            seen = task.observe(self.simulator.read(model, following), following.variables)
            action = action_at(seen)
            action = jnp.where(jnp.isfinite(action), action, 0.0)
            return (following, action), action

        first = action_at(self.observe(models, state, reading))
        _, later = jax.lax.scan(step, (state, first), None, length=horizon - 1)
        return jnp.concatenate([first[None], later])


def make_demo_layer(config: Config, simulator: Simulator, other: OtherRun) -> Algorithm:
    """On top of whatever policy the other run plays. Raises ConfigError where it has none."""
    bare = other.algorithm.play
    if not isinstance(bare, PolicyAgent) or bare.planner is not None:
        raise ConfigError(
            'from_run', config.from_run,
            f'a run whose agent acts by a policy alone, such as ars: this is {other.config.agent}',
        )  # fmt: skip
    agent = DemoLayer(simulator, None, load_planner_around(config), config.execution, bare.policy)
    params_of = other.algorithm.params

    def init(numbers, key, models, transition) -> MemberState:
        shapes = jax.eval_shape(params_of, other.shapes)
        policy = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return MemberState(key, models, LayerParams(policy))

    def bring(state: MemberState) -> MemberState:
        there = other.of_members(len(state.key))
        return state._replace(learner=LayerParams(params_of(there)))

    return Algorithm(agent, agent, init, lambda state: state.learner, bring=bring)
