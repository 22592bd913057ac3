"""What an agent is called, whether it learns and plans; `learning` holds what each of them does."""

from typing import NamedTuple

from mpq_jax.base.validation import ConfigError


class AgentKind(NamedTuple):
    label: str  # as tables and figures have it
    learns: bool
    plans: bool = True  # on physics of its own; or it acts without any
    builds_on: bool = False  # another run, which `from_run` names


AGENTS = {
    'mpq': AgentKind('MPQ', learns=True),
    'mppi': AgentKind('MPPI', learns=False),  # ends plans with the stage cost
    'softq': AgentKind('SoftQ', learns=True),
    # A policy, which plays without a plan; the planner of another run says what it should do.
    'distilled': AgentKind('distilled', learns=True, builds_on=True),
    'none': AgentKind('no control', learns=False, plans=False),
}


def check_from_run(agent: str, from_run: str) -> None:
    """Raises ConfigError where an agent lacks the run that it builds on, or has one for nothing."""
    if AGENTS[agent].builds_on != bool(from_run):
        allowed = 'the directory of a trained run' if AGENTS[agent].builds_on else 'empty'
        raise ConfigError('from_run', from_run, f'{allowed} when agent is {agent!r}')
