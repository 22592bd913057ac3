"""The tasks of the benchmark on somebody else's environments, with what the planner believes."""

import dataclasses

from mpq_jax.suite.playground import make_task
from mpq_jax.tasks import Task

REPEAT = 2  # environment steps a control step, as in TD-MPC2's results


def cartpole() -> Task:
    """Swing-up: dm_control's environment, Playground's reward."""
    return _repeated(make_task('CartpoleSwingup'))


def reacher() -> Task:
    """The small target: dm_control's environment, Playground's reward."""
    return _repeated(make_task('ReacherHard'))


def _repeated(task: Task) -> Task:
    return dataclasses.replace(
        task,
        control_timestep=REPEAT * task.control_timestep,
        episode_steps=task.episode_steps // REPEAT,
    )
