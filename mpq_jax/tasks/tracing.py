"""A task's function, traced by JAX: what it returns, and what is wrong with it in plain words."""

import inspect
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import errors

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.task import Reading, Task

_NOT_TRACEABLE = (
    errors.ConcretizationTypeError,
    errors.TracerArrayConversionError,
    errors.TracerBoolConversionError,
    errors.TracerIntegerConversionError,
    errors.NonConcreteBooleanIndexError,
    errors.UnexpectedTracerError,
)


def traced(task: Task, name: str, wanted: tuple[str, ...], *args, constants: tuple = ()) -> Any:
    """What `task.<name>` returns for arguments of these shapes, computing nothing.

    Args:
      task: whose function it is.
      name: the field of the task that holds it.
      wanted: what its arguments are called.
      *args: arrays or `jax.ShapeDtypeStruct`s.
      constants: further arguments, which are not traced.

    Returns:
      What it returned, with tracers in the place of arrays.

    Raises:
      TaskError: it takes other arguments, cannot be traced, or fails.
    """
    returned = []

    def recorded(*args):
        returned.append(getattr(task, name)(*args, *constants))
        return ()

    called(task, name, wanted, lambda *args: jax.eval_shape(recorded, *args), *args)
    return returned[-1]


def called(task: Task, name: str, wanted: tuple[str, ...], call: Callable, *args) -> Any:
    """`call(*args)`, which runs `task.<name>`; its exceptions as a TaskError that says which.

    Raises:
      TaskError: with the exception as its cause.
    """
    fn = getattr(task, name)
    blame = f'task {task.name!r}: {name}'
    try:
        inspect.signature(fn).bind(*wanted)
    except TypeError as error:
        raise TaskError(f'{blame} must take ({", ".join(wanted)}): {error}') from error
    except ValueError:  # has no signature to look at
        pass
    try:
        return call(*args)
    except TaskError:
        raise
    except _NOT_TRACEABLE as error:
        first = str(error).partition('\n')[0]
        raise TaskError(
            f'{blame} cannot be traced by JAX{_line(fn, error)}: use jax.numpy in the place of '
            f'NumPy, and jnp.where in the place of if, float() or bool() on an argument ({first})'
        ) from error
    except Exception as error:
        sensors = next((arg.sensors for arg in args if isinstance(arg, Reading)), None)
        there = ''
        if isinstance(error, KeyError) and sensors is not None:
            there = f'; the sensors there are: {", ".join(sensors) or "none with a name"}'
        raise TaskError(
            f'{blame} failed with {type(error).__name__}: {error}{_line(fn, error)}{there}'
        ) from error


def check_returned(task: Task, name: str, good: bool, returned: Any, wanted: str) -> None:
    """Raises TaskError where what a function returned is not what is wanted of it."""
    if not good:
        raise TaskError(
            f'task {task.name!r}: {name} returned {_described(returned)}: it must return {wanted}'
        )


def is_array(value: Any, kind: Any, shape: tuple[int, ...] | None = None) -> bool:
    """Whether it is an array, JAX's or NumPy's, of that kind of number (and shape)."""
    if not (hasattr(value, 'shape') and hasattr(value, 'dtype')):
        return False
    return jnp.issubdtype(value.dtype, kind) and (shape is None or value.shape == shape)


def _described(value: Any) -> str:
    if hasattr(value, 'shape') and hasattr(value, 'dtype'):
        return f'an array of shape {list(value.shape)} and type {value.dtype}'
    if isinstance(value, bool | int | float):
        return f'{value!r}, a Python {type(value).__name__}'
    return 'None' if value is None else f'a {type(value).__name__}'


def _line(fn: Callable, error: Exception) -> str:
    """' (line N of file.py)', the last of the function's own file, where it can be known."""
    file = getattr(getattr(inspect.unwrap(fn), '__code__', None), 'co_filename', None)
    place, line = error.__traceback__, None
    while file is not None and place is not None:
        if place.tb_frame.f_code.co_filename == file:
            line = place.tb_lineno
        place = place.tb_next
    return '' if file is None or line is None else f' (line {line} of {os.path.basename(file)})'
