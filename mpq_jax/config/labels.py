"""What tables and figures call an agent."""

from collections.abc import Mapping
from typing import Any

from mpq_jax.config.agents import AGENTS
from mpq_jax.config.fields import get_field
from mpq_jax.config.run_config import Config

_MODELS = {'true': ', true model', 'learned': ', learned model', 'residual': ', corrected model'}
NO_CONTROL = AGENTS['none'].label


def is_no_control(fields: Mapping[str, Any]) -> bool:
    """Whether dotted config fields are those of the agent that does nothing."""
    return fields.get('agent') == 'none'


def agent_name(agent: str) -> str:
    """As tables and figures have it; what this version does not know stays as it is."""
    return AGENTS[agent].label if agent in AGENTS else agent


def plans(agent: str) -> bool:
    """Whether an agent has a planner; what this version does not know is taken for one."""
    return agent not in AGENTS or AGENTS[agent].plans


def agent_label(config: Config | Mapping[str, Any]) -> str:
    """'MPQ H=8, true model, DR data', or 'no control', which has no horizon.

    Args:
      config: a config, or its fields by dotted name.
    """
    names = ('agent', 'planner.name', 'planner.horizon', 'planner_model', 'q_data')
    if isinstance(config, Config):
        config = {name: get_field(config, name) for name in names}
    if is_no_control(config):
        return NO_CONTROL
    agent, horizon = agent_name(str(config.get('agent', 'agent'))), config.get('planner.horizon')
    data = ', DR data' if config.get('q_data') == 'dr' else ''
    if not plans(str(config.get('agent'))):
        return agent + data
    planner = config.get('planner.name') or 'mppi'
    with_planner = '' if planner == 'mppi' else f' by {planner}'
    model = _MODELS.get(str(config.get('planner_model')), '')
    return f'{agent}{with_planner} H={horizon}{model}{data}'


def field_label(fields: Mapping[str, Any]) -> str:
    """'horizon=4, temperature=0.1': the last words of the fields' names.

    What an agent that does nothing would plan with or learn from is left out.
    """
    parts = [f'{name.split(".")[-1]}={value}' for name, value in fields.items()]
    if is_no_control(fields):
        unused = ('agent', 'planner', 'learner', 'dynamics', 'q_data')
        kept = [p for n, p in zip(fields, parts, strict=True) if not n.startswith(unused)]
        parts = [NO_CONTROL, *kept]
    return ', '.join(parts)
