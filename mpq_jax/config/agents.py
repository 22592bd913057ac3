"""What an agent is called, whether it learns and plans; `learning` holds what each of them does."""

import dataclasses
from typing import NamedTuple

from mpq_jax.base.validation import ConfigError, check_choice
from mpq_jax.config.dynamics_config import LEARNED_MODELS
from mpq_jax.config.planners import BasePlannerConfig, PlannerConfig


class AgentKind(NamedTuple):
    label: str  # as tables and figures have it
    learns: bool
    plans: bool = True  # on physics of its own; or it acts without any
    builds_on: bool = False  # another run, which `from_run` names
    follows: bool = False  # plans along a policy: a step of 0 is the policy itself
    on_learned: bool = False  # needs a model that is learned


AGENTS = {
    'mpq': AgentKind('MPQ', learns=True),
    'mppi': AgentKind('MPPI', learns=False),  # ends plans with the stage cost
    'softq': AgentKind('SoftQ', learns=True),
    # A policy, which plays without a plan; the planner of another run says what it should do.
    'distilled': AgentKind('distilled', learns=True, builds_on=True),
    'none': AgentKind('no control', learns=False, plans=False),
    'ars': AgentKind('ARS', learns=True, plans=False),
    'demo_layer': AgentKind('DeMo Layer', learns=False, builds_on=True, follows=True),
    'sac': AgentKind('SAC', learns=True, plans=False),
    # A policy acts; plans along it on a learned model are what it learns from.
    **{
        name: AgentKind(label, learns=True, follows=True, on_learned=True)
        for name, label in (('demorl', 'DeMoRL'), ('mopac', 'MoPAC'), ('mbpo', 'MBPO'))
    },
    'demorl_online': AgentKind('DeMoRL, online', learns=True, on_learned=True),
}


def check_from_run(agent: str, from_run: str) -> None:
    """Raises ConfigError where an agent lacks the run that it builds on, or has one for nothing."""
    if AGENTS[agent].builds_on != bool(from_run):
        allowed = 'the directory of a trained run' if AGENTS[agent].builds_on else 'empty'
        raise ConfigError('from_run', from_run, f'{allowed} when agent is {agent!r}')


def check_model(agent: str, planner_model: str) -> None:
    """Raises ConfigError for a planner's model that the agent cannot plan with."""
    kind = AGENTS[agent]
    if not kind.plans and planner_model in LEARNED_MODELS:
        allowed = f"'biased' or 'true' when agent is {agent!r}"
        raise ConfigError('planner_model', planner_model, allowed)
    if kind.on_learned and planner_model not in LEARNED_MODELS:
        allowed = f"'learned' or 'residual' when agent is {agent!r}"
        raise ConfigError('planner_model', planner_model, allowed)
    check_choice('planner_model', planner_model, ('biased', 'true', *LEARNED_MODELS))


def validate_planner(agent: str, planner: BasePlannerConfig) -> None:
    """Raises ConfigError naming field, value and range.

    Plans have to move: by a step of 0, or in no iteration, only where they are along a policy, or
    where none are made.
    """
    kind = AGENTS[agent]
    if kind.follows or not kind.plans:
        if planner.iterations == 0:
            planner = dataclasses.replace(planner, iterations=1)
        if isinstance(planner, PlannerConfig) and planner.step_size == 0.0:
            planner = dataclasses.replace(planner, step_size=1.0)
    planner.validate()
