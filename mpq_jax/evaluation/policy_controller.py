"""A controller that does not plan."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base.compilation import compile, program_errors
from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import Model
from mpq_jax.evaluation.controller import Controller, checked
from mpq_jax.planning.agent import QParams
from mpq_jax.planning.planner import Plan
from mpq_jax.planning.policy_agent import PolicyAgent


class PolicyController(Controller):
    """Asked as any other, or with an observation, where that is at hand.

    `act` makes the observation of positions and velocities, as one of the planner's models has it.
    """

    def __init__(
        self,
        planner: BasePlannerConfig,
        agent: PolicyAgent,
        q_params: QParams,
        models: Model,
        seed: int = 0,
    ):
        super().__init__(planner, agent, q_params, models, seed)
        start = agent.simulator.state(agent.simulator.task.reset(self._key))
        self._example = jax.eval_shape(lambda: agent.observe(models, start, None))
        respond = functools.partial(_respond, agent, jax.tree.map(np.asarray, q_params), seed)
        self.respond = compile(respond, self._example, jnp.int32(0))  # (observation, which call)
        self.act_on(np.zeros(self._example.shape, np.float32))
        self.reset(seed)

    def reset(self, seed: int = 0, plan: Plan | None = None) -> None:
        """See `Controller.reset`; the random numbers of `act_on` begin again as they were."""
        super().reset(seed, plan)
        self._calls = 0

    @property
    def observation_size(self) -> int:
        return self._example.shape[0]

    def act_on(self, observation) -> np.ndarray:
        """The action `[nu]` in [-1, 1] for an observation `[no]`, of which nothing is kept.

        Raises:
          ConfigError: an observation of another shape, or not finite.
        """
        given = checked('observation', observation, self._example)
        with program_errors():
            action = jax.block_until_ready(self.respond(given, np.int32(self._calls)))
        self._calls += 1
        return np.asarray(action)


def _respond(agent: PolicyAgent, params: QParams, seed: int, observation: jax.Array, call):
    """The action; all but the observation is in the program."""
    return agent.respond(params, observation, jax.random.fold_in(jax.random.key(seed), call))
