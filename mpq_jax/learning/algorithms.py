"""Algorithms by the name of their agent: what a run's `agent` field stands for."""

import functools
from collections.abc import Callable
from typing import NamedTuple

from mpq_jax.config import Config
from mpq_jax.config.agents import AGENTS, AgentKind
from mpq_jax.dynamics import Simulator
from mpq_jax.learning import learner
from mpq_jax.learning.algorithm import Algorithm, MemberState
from mpq_jax.learning.learned_dynamics import with_learned_dynamics
from mpq_jax.learning.mpq import make_mpq
from mpq_jax.learning.policies import arithmetic
from mpq_jax.learning.policies.ars import make_ars
from mpq_jax.learning.policies.demo_layer import make_demo_layer
from mpq_jax.learning.policies.demorl import make_demorl, rollout_steps
from mpq_jax.learning.policies.demorl_online import make_demorl_online
from mpq_jax.learning.policies.distillation import make_distilled
from mpq_jax.learning.policies.other_run import OtherRun
from mpq_jax.learning.policies.sac import make_sac
from mpq_jax.planning.agent import make_agent


class AlgorithmMaker(NamedTuple):
    """How an algorithm comes to be, and what it costs."""

    # (config, the planner's physics) -> algorithm; of an agent that builds on another run, which
    # comes third. Raises ConfigError.
    make: Callable[..., Algorithm]
    # Control steps of the planner's models in one learning round of one member.
    round_steps: Callable[[Config], int] = lambda config: 0
    # Whether models that are learned are fitted as it goes on, or come from another run.
    fits_models: bool = True
    acts_by_plans: bool = True  # whether a planner, where there is one, makes each action
    # (config, shapes of the members' states, steps of an episode) -> operations of networks of one
    # member's whole run; None: nothing is foretold.
    operations: Callable[[Config, MemberState, int], float] | None = None


def make_playing(config: Config, simulator: Simulator) -> Algorithm:
    """An agent that learns nothing: a planner alone, or no control. Raises ConfigError."""
    agent = make_agent(config, simulator)
    return Algorithm(agent, agent, lambda numbers, key, models, _: MemberState(key, models))


_MPQ = AlgorithmMaker(make_mpq, lambda config: learner.plan_steps(config.planner, config.learner))
_DEMORL = AlgorithmMaker(
    make_demorl, rollout_steps, acts_by_plans=False, operations=arithmetic.of_demorl
)
_MAKERS = {
    'mpq': _MPQ,
    'softq': _MPQ,
    'mppi': AlgorithmMaker(make_playing),
    'none': AlgorithmMaker(make_playing),
    'ars': AlgorithmMaker(make_ars),
    'demo_layer': AlgorithmMaker(make_demo_layer),
    'distilled': AlgorithmMaker(make_distilled, fits_models=False),
    'sac': AlgorithmMaker(make_sac, operations=arithmetic.of_sac),
    **dict.fromkeys(('demorl', 'mopac', 'mbpo'), _DEMORL),
    'demorl_online': AlgorithmMaker(make_demorl_online),
}


def register_algorithm(
    name: str,
    make: Callable[..., Algorithm],
    *,
    label: str = '',
    learns: bool = True,
    builds_on: bool = False,
    round_steps: Callable[[Config], int] = lambda config: 0,
) -> None:
    """Makes an algorithm known as `agent=name`, for this process.

    Args:
      name: what configs call it.
      make: (config, the planner's simulator) -> `Algorithm`; raises ConfigError where it can't be.
        With `builds_on` the `OtherRun` comes third.
      label: what tables and figures call it; the name if empty.
      learns: whether it has an `update`.
      builds_on: whether it takes something from another run, which `from_run` names.
      round_steps: control steps of the planner's models in one learning round of one member.
    """
    _MAKERS[name] = AlgorithmMaker(make, round_steps)
    AGENTS[name] = AgentKind(label or name, learns, builds_on=builds_on)


def algorithm_maker(config: Config, other: OtherRun | None = None) -> AlgorithmMaker:
    """Of a validated config's agent, on models that are learned where the config says so.

    `other` is the run that the agent builds on, where it does and is going to be made.
    """
    maker = _MAKERS[config.agent]
    if other is not None:
        of_other = maker.make
        maker = maker._replace(make=lambda config, simulator: of_other(config, simulator, other))
    if config.learns_dynamics and maker.fits_models:
        maker = maker._replace(make=functools.partial(with_learned_dynamics, maker.make))
    return maker
