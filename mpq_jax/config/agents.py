"""What an agent is called, whether it learns and plans; `learning` holds what each of them does."""

from typing import NamedTuple


class AgentKind(NamedTuple):
    label: str  # as tables and figures have it
    learns: bool
    plans: bool = True  # on physics of its own; or it acts without any


AGENTS = {
    'mpq': AgentKind('MPQ', learns=True),
    'mppi': AgentKind('MPPI', learns=False),  # ends plans with the stage cost
    'softq': AgentKind('SoftQ', learns=True),
    'none': AgentKind('no control', learns=False, plans=False),
    'sac': AgentKind('SAC', learns=True, plans=False),
}
