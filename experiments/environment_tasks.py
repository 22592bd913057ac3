"""The tasks of the benchmark on somebody else's environments."""

import dataclasses
from typing import Any

import mpq_jax
from mpq_jax.tasks import Task

REPEAT = 2  # environment steps a control step, as in TD-MPC2's results
# Q begins near zero and moves by a thousandth a step: costs to go of 200 would take it long.
_SCALE = 0.02


def cartpole() -> Task:
    """Swing-up: dm_control's environment, Playground's reward."""
    return _repeated(mpq_jax.load_task('playground:CartpoleSwingup'))


def reacher() -> Task:
    """The small target: dm_control's environment, Playground's reward."""
    return _repeated(mpq_jax.load_task('playground:ReacherHard'))


def double_pendulum() -> Task:
    """Gymnasium's, its costs in smaller units."""
    return _scaled(mpq_jax.load_task('gymnasium:InvertedDoublePendulum-v5'))


def inverted_pendulum() -> Task:
    """The same of the single one."""
    return _scaled(mpq_jax.load_task('gymnasium:InvertedPendulum-v5'))


def _scaled(task: Task) -> Task:
    cost, terminal_cost = task.cost, task.terminal_cost
    # What suits an agent was chosen for costs as they are, with a scale of Q in their place.
    changes: dict[str, Any] = {
        'cost': lambda *seen: _SCALE * cost(*seen),
        'agent_settings': {},
    }
    if terminal_cost is not None:
        changes['terminal_cost'] = lambda *seen: _SCALE * terminal_cost(*seen)
    return dataclasses.replace(task, **changes)


def _repeated(task: Task) -> Task:
    return dataclasses.replace(
        task,
        control_timestep=REPEAT * task.control_timestep,
        episode_steps=task.episode_steps // REPEAT,
    )
