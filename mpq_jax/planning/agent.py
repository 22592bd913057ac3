"""What acts: a planner with what was learned, or nothing. Agents are configurations."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import BasePlannerConfig, Config, ExecutionConfig
from mpq_jax.dynamics import Model, Simulator, State
from mpq_jax.planning.mppi import MPPI
from mpq_jax.planning.planner import CostsOf, Diagnostics, Plan, Planner, improve, no_diagnostics
from mpq_jax.planning.planners import load_planner
from mpq_jax.planning.scoring import TerminalCost, score
from mpq_jax.tasks import Reading

# Folded into a plan's key for what models draw, beside what the planner draws with it.
_MODEL_NOISE = 0x6D6F6465

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
    """A planner, its physics, and the network whose Q ends its plans (None: the stage cost)."""

    simulator: Simulator
    network: Network | None
    planner: Planner | None = MPPI  # None: zero actions, no planning ('none')
    execution: ExecutionConfig = ExecutionConfig()

    reads: ClassVar[bool] = False  # whether `act` looks at what is observed, not at `state` alone

    def terminal_cost(self, q_params: QParams) -> TerminalCost:
        """The cost at the end of a plan, as a function of s_{H-1} and a_{H-1}."""
        task, network = self.simulator.task, self.network
        if network is None:
            return jax.tree_util.Partial(task.cost)

        def q(q_params, reading, variables, action) -> Any:
            return network.apply(q_params, task.observe(reading, variables), action)

        return jax.tree_util.Partial(q, q_params)

    def costs_of(
        self, config: BasePlannerConfig, q_params: QParams, models: Model, state: State,
        key: jax.Array,
    ) -> CostsOf:  # fmt: skip
        """What plans cost from a state, on models with leading axis D, as a plan's `key` has it."""
        simulator, noise = self.simulator, None
        if simulator.particles is not None:
            noise = jax.random.fold_in(key, _MODEL_NOISE)
        return functools.partial(
            score, config, simulator, self.terminal_cost(q_params), models, state,
            chunk=self.execution.sample_chunk, key=noise, devices=self.execution.sample_devices,
        )  # fmt: skip

    def first_plan(self, config: BasePlannerConfig) -> Plan:
        """The plan at the start of an episode; () where nothing is planned."""
        return () if self.planner is None else self.planner.init(config, self.simulator.action_size)

    def act(
        self,
        config: BasePlannerConfig,
        q_params: QParams,
        models: Model,
        state: State,
        plan: Plan,
        key: jax.Array,
        reading: Reading | None = None,
    ) -> tuple[jax.Array, Plan, Diagnostics]:
        """One control step: improve the plan and take its first action.

        Args:
          config: the planner's.
          q_params: of `network`.
          models: leading axis D.
          state: where the real system is.
          plan: for now, already shifted.
          key: random key.
          reading: of the real system at `state`, where it is at hand; see `reads`.

        Returns:
          The action `[nu]` in [-1, 1], the plan shifted for the next control step, diagnostics.
        """
        if self.planner is None:
            return jnp.zeros(self.simulator.action_size), plan, no_diagnostics()
        costs_of = self.costs_of(config, q_params, models, state, key)
        plan, info = improve(
            self.planner, config, costs_of, plan, key, iterations=config.iterations,
            devices=self.execution.sample_devices,
        )  # fmt: skip
        return self.planner.first_action(plan), self.planner.shift(config, plan), info


@dataclasses.dataclass(frozen=True, eq=False)
class RandomAgent(Agent):
    """Acts uniformly in the action box; plans stay as they begin."""

    def act(self, config, q_params, models, state, plan, key, reading=None):
        size = (self.simulator.action_size,)
        return jax.random.uniform(key, size, minval=-1.0, maxval=1.0), plan, no_diagnostics()


def make_agent(config: Config, simulator: Simulator, network: Network | None = None) -> Agent:
    """The agent that a config names, with the network of one that learns.

    Raises:
      ConfigError: no such planner, or one that Q cannot learn from.
    """
    planner = None if config.agent == 'none' else load_planner(config.planner.name)
    if config.learns_q and planner is not None and planner.soft_value is None:
        raise ConfigError(
            'planner.name', config.planner.name,
            f'one with a soft value, which Q learns from, when agent is {config.agent!r}',
        )  # fmt: skip
    return Agent(simulator, network, planner, config.execution)
