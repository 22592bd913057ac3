"""Tasks by name; `load_task('module:factory')` takes one of your own."""

import importlib
import sys
from collections.abc import Callable

from mpq_jax.tasks import ball_in_cup, fetch_push, franka_drawer, pendulum
from mpq_jax.tasks.check import check_task
from mpq_jax.tasks.task import RandomizedParameter, Reading, Start, Task
from mpq_jax.validation import TaskError, nearest

__all__ = ['TASKS', 'RandomizedParameter', 'Reading', 'Start', 'Task', 'load_task', 'register_task']

TASKS: dict[str, Callable[[], Task]] = {
    'pendulum': pendulum.make_task,
    'ball_in_cup': ball_in_cup.make_task,
    'fetch_push': fetch_push.make_task,
    'franka_drawer': franka_drawer.make_task,
}


_loaded: dict[Callable[[], Task], Task] = {}


def register_task(name: str, factory: Callable[[], Task]) -> None:
    """Makes `factory()` known under a name, for this process; it is called anew when loaded."""
    TASKS[name] = factory
    _loaded.pop(factory, None)


def load_task(name: str) -> Task:
    """The task of a registered name, or what `module:factory` returns, checked (`check_task`).

    A task that passed is kept for the process, one for each factory object: a factory that would
    return another one by now, because a global or a closure changed, is not called again until it
    is registered again. A factory that failed, or whose task did, is called again.

    Raises:
      TaskError: no such name, module or factory; the factory failed or returned no Task; a
        function of the task that cannot be used.
    """
    factory = _factory(name)
    if factory not in _loaded:
        try:
            task = factory()
        except TaskError:
            raise
        except Exception as error:
            raise TaskError(
                f'task = {name!r}: its factory failed with {type(error).__name__}: {error}'
            ) from error
        if not isinstance(task, Task):
            raise TaskError(f'task = {name!r}: the factory must return a Task, not {type(task)}')
        check_task(task)
        _loaded[factory] = task
    return _loaded[factory]


def _factory(name: str) -> Callable[[], Task]:
    if ':' not in name:
        if name not in TASKS:
            raise TaskError(
                f'task = {name!r} is not known: it must be one of {", ".join(TASKS)}, '
                f'or module:factory of your own{nearest(name, TASKS)}'
            )
        return TASKS[name]
    module_name, _, factory_name = name.partition(':')
    if module_name.partition('.')[0] in sys.stdlib_module_names:  # in a config from elsewhere
        raise TaskError(f'task = {name!r}: the module must be your own, not the standard library')
    try:
        return getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise TaskError(f'task = {name!r} cannot be imported: {error}') from error
