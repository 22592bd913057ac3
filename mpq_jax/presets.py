"""Named starting points: a config for a task and an agent."""

from typing import Any

from mpq_jax.config import Config
from mpq_jax.overrides import set_fields
from mpq_jax.tasks import load_task
from mpq_jax.validation import check_choice

# SoftQ is MPQ at H = 1 with a target network. Its schedule is undisclosed; this is ours.
_AGENTS: dict[str, dict[str, Any]] = {
    'mpq': {},
    'mppi': {},
    'softq': {
        'planner.horizon': 1,
        'learner.mode': 'per_minibatch',
        'learner.num_minibatches': 100,
        'learner.minibatch_size': 64,
        'learner.target_iterations': 3,
        'learner.target_network': True,
        'learner.polyak': 0.005,
    },
}


def preset(task: str = 'pendulum', agent: str = 'mpq', name: str = 'default') -> Config:
    """The config that suits a task and an agent, before any override.

    Args:
      task: registered name or `module:factory`.
      agent: 'mpq', 'mppi' or 'softq'.
      name: 'default' (the task's own settings), or one of the task's presets; the built-in
        tasks have 'paper' (Table 3 to the letter, fresh targets for every minibatch).

    Raises:
      ConfigError, TaskError: an unknown agent, preset or task.
    """
    check_choice('agent', agent, tuple(_AGENTS))
    definition = load_task(task)
    check_choice('preset', name, ('default', *definition.presets))
    config = set_fields(Config(task=task, agent=agent), definition.settings)
    config = set_fields(config, definition.presets.get(name, {}))
    return set_fields(config, _AGENTS[agent])


def baseline(config: Config, *, long: bool, planner_model: str = 'biased') -> Config:
    """The plain MPPI that a run is held against, at the same or the task's long horizon."""
    horizon = load_task(config.task).long_horizon if long else config.planner.horizon
    fields = {'agent': 'mppi', 'planner_model': planner_model, 'planner.horizon': horizon}
    return set_fields(config, fields)
