"""What acts: the planner with what it has learned, or nothing. Agents are configurations."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp

from mpq_jax.config import Config, PlannerConfig
from mpq_jax.dynamics import Model, Simulator, State
from mpq_jax.planning import mppi

QParams = Any  # the network's parameters; () for an agent that does not learn


class Network(Protocol):
    """A Q function of observation `[no]` and action `[nu]`; made and fitted by `learning`."""

    @property
    def init(self) -> Callable[..., QParams]:
        """(key, observation, action) -> fresh parameters."""

    @property
    def apply(self) -> Callable[..., Any]:
        """(parameters, observation, action) -> the cost to go, a scalar."""


@dataclasses.dataclass(frozen=True, eq=False)
class Agent:
    """A planner's physics, and the network whose Q ends its plans (None: the stage cost)."""

    simulator: Simulator
    network: Network | None
    acts: bool = True  # False: zero actions, no planning ('none')

    def terminal_cost(self, q_params: QParams) -> mppi.TerminalCost:
        """The cost at the end of a plan, as a function of s_{H-1} and a_{H-1}."""
        task, network = self.simulator.task, self.network
        if network is None:
            return task.cost

        def q(reading, variables, action) -> Any:
            return network.apply(q_params, task.observe(reading, variables), action)

        return q

    def act(
        self,
        config: PlannerConfig,
        q_params: QParams,
        models: Model,
        state: State,
        controls: jax.Array,
        key: jax.Array,
    ) -> tuple[jax.Array, jax.Array, mppi.Diagnostics]:
        """One control step: improve the plan and take its first action.

        Args:
          config: the planner's.
          q_params: of `network`.
          models: leading axis D.
          state: where the real system is.
          controls: the plan `[H, nu]` for now, already shifted.
          key: random key.

        Returns:
          The action `[nu]` in [-1, 1], the plan shifted for the next control step, diagnostics.
        """
        if not self.acts:
            return jnp.zeros(self.simulator.action_size), controls, mppi.no_diagnostics()
        controls, info = mppi.plan(
            config, self.simulator, self.terminal_cost(q_params), models, state, controls, key,
            iterations=config.iterations,
        )  # fmt: skip
        return jnp.clip(controls[0], -1.0, 1.0), mppi.shift(controls), info


def make_agent(config: Config, simulator: Simulator, network: Network | None) -> Agent:
    """The agent that a config names, with the network of one that learns."""
    return Agent(simulator, network, acts=config.agent != 'none')
