"""Tasks by name; `load_task('module:factory')` takes one of your own."""

import functools
import importlib
import sys
from collections.abc import Callable

from mpq_jax.tasks import ball_in_cup, fetch_push, franka_drawer, pendulum
from mpq_jax.tasks.task import RandomizedParameter, Reading, Start, Task
from mpq_jax.validation import TaskError, nearest

__all__ = ['TASKS', 'RandomizedParameter', 'Reading', 'Start', 'Task', 'load_task', 'register_task']

TASKS: dict[str, Callable[[], Task]] = {
    'pendulum': pendulum.make_task,
    'ball_in_cup': ball_in_cup.make_task,
    'fetch_push': fetch_push.make_task,
    'franka_drawer': franka_drawer.make_task,
}


_made = functools.cache(lambda factory: factory())


def register_task(name: str, factory: Callable[[], Task]) -> None:
    """Makes `factory()` known under a name, for this process."""
    TASKS[name] = factory


def load_task(name: str) -> Task:
    """The task of a registered name, or what `module:factory` returns; one object a factory.

    Raises:
      TaskError: no such name, module or factory, or the factory returned no Task.
    """
    if ':' not in name:
        if name not in TASKS:
            raise TaskError(
                f'task = {name!r} is not known: it must be one of {", ".join(TASKS)}, '
                f'or module:factory of your own{nearest(name, TASKS)}'
            )
        return _made(TASKS[name])
    module_name, _, factory_name = name.partition(':')
    if module_name.partition('.')[0] in sys.stdlib_module_names:  # in a config from elsewhere
        raise TaskError(f'task = {name!r}: the module must be your own, not the standard library')
    try:
        factory = getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskError(f'task = {name!r} cannot be imported: {error}') from error
    task = _made(factory)
    if not isinstance(task, Task):
        raise TaskError(f'task = {name!r}: the factory must return a Task, not {type(task)}')
    return task
