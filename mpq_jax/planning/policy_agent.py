"""What acts by a policy: a function of what is observed, without any plan."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from mpq_jax.dynamics import Model, State
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.planner import no_diagnostics
from mpq_jax.tasks import Reading

# (parameters, observation [no], key) -> action [nu] in [-1, 1]; a mean policy ignores the key.
Policy = Callable[[Any, jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True, eq=False)
class PolicyAgent(Agent):
    """Acts as a policy says; there is no plan, unless a subclass makes one."""

    policy: Policy | None = None

    reads: ClassVar[bool] = True

    def observe(self, models: Model, state: State, reading: Reading | None) -> jax.Array:
        """The observation `[no]`: the real system's, or as the first of the models reads it."""
        if reading is None:
            reading = self.simulator.read(jax.tree.map(lambda x: x[0], models), state)
        return self.simulator.task.observe(reading, state.variables)

    def respond(self, params: Any, observation: jax.Array, key: jax.Array) -> jax.Array:
        """The action `[nu]` in [-1, 1] for an observation `[no]`."""
        assert self.policy is not None
        return jnp.clip(self.policy(params, observation, key), -1.0, 1.0)

    def act(self, config, q_params, models, state, plan, key, reading=None):
        """The policy's action; see `Agent.act`, whose `q_params` are the policy's here."""
        action = self.respond(q_params, self.observe(models, state, reading), key)
        return action, plan, no_diagnostics()
