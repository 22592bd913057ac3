"""What an agent is called, and whether it learns; `learning` holds what each of them does."""

from typing import NamedTuple


class AgentKind(NamedTuple):
    label: str  # as tables and figures have it
    learns: bool


AGENTS = {
    'mpq': AgentKind('MPQ', learns=True),
    'mppi': AgentKind('MPPI', learns=False),  # ends plans with the stage cost
    'softq': AgentKind('SoftQ', learns=True),
    'none': AgentKind('no control', learns=False),
}
