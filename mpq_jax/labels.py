"""What tables and figures call an agent."""

from collections.abc import Mapping
from typing import Any

from mpq_jax.config import AGENT_NAMES, Config
from mpq_jax.overrides import get_field

NO_CONTROL = 'no control'


def is_no_control(fields: Mapping[str, Any]) -> bool:
    """Whether dotted config fields are those of the agent that does nothing."""
    return fields.get('agent') == 'none'


def agent_label(config: Config | Mapping[str, Any]) -> str:
    """'MPQ H=8, true model, DR data', or 'no control', which has no horizon.

    Args:
      config: a config, or its fields by dotted name; the first two of the label must be there.
    """
    names = ('agent', 'planner.horizon', 'planner_model', 'q_data')
    if isinstance(config, Config):
        config = {name: get_field(config, name) for name in names}
    if is_no_control(config):
        return NO_CONTROL
    agent, horizon = config.get('agent'), config.get('planner.horizon')
    model = ', true model' if config.get('planner_model') == 'true' else ''
    data = ', DR data' if config.get('q_data') == 'dr' else ''
    return f'{AGENT_NAMES.get(str(agent), "agent")} H={horizon}{model}{data}'


def field_label(fields: Mapping[str, Any]) -> str:
    """'horizon=4, temperature=0.1': the last words of the fields' names.

    What an agent that does nothing would plan with is left out.
    """
    if not is_no_control(fields):
        return ', '.join(f'{name.split(".")[-1]}={value}' for name, value in fields.items())
    rest = {n: v for n, v in fields.items() if n != 'agent' and not n.startswith('planner')}
    return ', '.join([NO_CONTROL, *([field_label(rest)] if rest else [])])
