"""What goes into a policy and what comes out, for whoever calls it without this library."""

import json
from typing import Any

from mpq_jax.config import Config
from mpq_jax.tasks import Task
from mpq_jax.tasks.plant import read_mjcf


def interface_of(task: Task, config: Config, observation_size: int, actions: int) -> dict[str, Any]:
    """Names, units of time and meaning, as JSON has them."""
    names = list(task.observation_names)
    return {
        'task': config.task,
        'observation': names or [f'observation[{i}]' for i in range(observation_size)],
        'action': action_names(task, actions),
        'action_meaning': action_meaning(task),
        'control_timestep': task.control_timestep,
    }


def action_names(task: Task, count: int) -> list[str]:
    """Of the actuators where each action is one's; 'action[0]' elsewhere."""
    names = [f'action[{i}]' for i in range(count)]
    if task.mjcf is None or task.control is not None:
        return names
    model = read_mjcf(task)
    return [model.actuator(i).name or name for i, name in enumerate(names)]


def action_meaning(task: Task) -> str:
    """What -1 and 1 stand for."""
    held = f'in [-1, 1], held for {task.control_timestep:g} seconds'
    if task.control is not None:
        return f"{held}: the task's `control` makes actuator inputs of it"
    if task.mjcf is None:
        return f"{held}: as the task's equations have it"
    ranges = read_mjcf(task).actuator_ctrlrange.tolist()
    spans = ', '.join(f'{low:g} to {high:g}' for low, high in ranges)
    return f'{held}: scaled to the range of each actuator ({spans})'


def as_text(interface: dict[str, Any]) -> dict[str, str]:
    """The same with words alone: lists as JSON."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in interface.items()}
