"""Tasks by name; `load_task('module:factory')` takes one of your own."""

import contextlib
import contextvars
import functools
import importlib
from collections.abc import Callable, Iterator

from mpq_jax.base.trust import FAMILIES, import_factory
from mpq_jax.base.validation import TaskError, nearest
from mpq_jax.tasks.check import check_task
from mpq_jax.tasks.task import Task


def _built_in(name: str) -> Callable[[], Task]:
    """Imports the task's module when it is loaded: the suite stands above this."""

    @functools.cache
    def make_task() -> Task:
        return importlib.import_module(f'mpq_jax.suite.{name}').make_task()

    return make_task


OF_THE_PAPER = ('pendulum', 'ball_in_cup', 'fetch_push', 'franka_drawer')
BUILT_IN = (*OF_THE_PAPER, 'cartpole_swingup')
# The built-in ones depend on nothing that could change.
TASKS: dict[str, Callable[[], Task]] = {name: _built_in(name) for name in BUILT_IN}

_kept: contextvars.ContextVar[dict[str, Task] | None] = contextvars.ContextVar('kept', default=None)


@contextlib.contextmanager
def keep_tasks() -> Iterator[None]:
    """Within it a task is made and checked once for each name: what a run loads is one task.

    Inside another it changes nothing.
    """
    if _kept.get() is not None:
        yield
        return
    token = _kept.set({})
    try:
        yield
    finally:
        _kept.reset(token)


def register_task(name: str, factory: Callable[[], Task]) -> None:
    """Makes `factory()` known under a name, for this process."""
    TASKS[name] = factory
    (_kept.get() or {}).pop(name, None)


def load_task(name: str) -> Task:
    """The task of a name, checked (`check_task`).

    A registered one; 'playground:CartpoleSwingup', 'gymnasium:HalfCheetah-v5' (with the extras of
    these names); or what `module:factory` returns.

    The factory is called each time, so that what it reads may change; a run calls it once.

    Raises:
      TaskError: no such name, module or factory; the factory failed or returned no Task; a
        function of the task that cannot be used.
    """
    kept = _kept.get()
    if kept is not None and name in kept:
        return kept[name]
    factory = _factory(name)
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
    if kept is not None:
        kept[name] = task
    return task


def _factory(name: str) -> Callable[[], Task]:
    if ':' not in name:
        if name not in TASKS:
            raise TaskError(
                f'task = {name!r} is not known: it must be one of {", ".join(TASKS)}, '
                'playground:Name, gymnasium:ID, or module:factory of your own'
                f'{nearest(name, TASKS)}'
            )
        return TASKS[name]
    family, _, identity = name.partition(':')
    if family in FAMILIES:
        module = importlib.import_module(f'mpq_jax.suite.{family}')
        return functools.partial(module.make_task, identity)
    try:
        return import_factory(name)
    except ValueError as error:
        raise TaskError(f'task = {name!r}: {error}') from error
