"""The tasks of the benchmark on somebody else's environments."""

import dataclasses

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
    task = mpq_jax.load_task('gymnasium:InvertedDoublePendulum-v5')
    cost, terminal_cost = task.cost, task.terminal_cost
    assert terminal_cost is not None
    return dataclasses.replace(
        task,
        cost=lambda *seen: _SCALE * cost(*seen),
        terminal_cost=lambda *seen: _SCALE * terminal_cost(*seen),
    )


def _repeated(task: Task) -> Task:
    return dataclasses.replace(
        task,
        control_timestep=REPEAT * task.control_timestep,
        episode_steps=task.episode_steps // REPEAT,
    )
