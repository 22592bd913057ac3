"""A planner that plans wherever it is led, and says what it would do there: DAgger.

Ross, Gordon and Bagnell, *A Reduction of Imitation Learning and Structured Prediction to No-Regret
Online Learning* (AISTATS 2011), with the planner acting in the first episodes and the policy in
all others.
"""

import dataclasses

import jax
import jax.numpy as jnp

from mpq_jax.planning.agent import Agent
from mpq_jax.planning.mixing import at_end
from mpq_jax.planning.policy_agent import PolicyAgent


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LabellingAgent(PolicyAgent):
    """Its plan is the planner's, warm-started along the way, and the label of the last state.

    Its parameters are `DistilledParams`.
    """

    expert: Agent
    follows: bool  # whether the planner's action is taken, or the policy's

    def first_plan(self, config):
        """The planner's, and a label that nothing reads."""
        return self.expert.first_plan(config), jnp.zeros(self.simulator.action_size)

    def act(self, config, q_params, models, state, plan, key, reading=None):
        """See `Agent.act`; the diagnostics are the planner's.

        The label is what the planner would do; NaN where it had no plan of a finite cost.
        """
        wanted, carried, info = self.expert.act(
            at_end(config), q_params.expert, models, state, plan[0], key, reading
        )
        label = jnp.where(info.nonfinite_fraction < 1.0, wanted, jnp.nan)
        action: jax.Array = wanted
        if not self.follows:
            action, _, _ = super().act(config, q_params, models, state, (), key, reading)
        return action, (carried, label), info
