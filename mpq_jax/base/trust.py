"""Whose code is run: what is one's own is imported where its user named it, never a file."""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mpq_jax.base.validation import RunError, TaskError

# Tasks 'family:name' that this package makes itself, of somebody else's environments.
FAMILIES = ('playground', 'gymnasium')
_named: set[str] = set()  # 'module:factory' that the user of this process asked for


def is_code(name: str, kind: str = 'task') -> bool:
    """Whether a task's or planner's name is `module:factory` of somebody's own."""
    family, colon, _ = str(name).partition(':')
    return bool(colon) and not (kind == 'task' and family in FAMILIES)


def name_code(name: str) -> None:
    """Notes that the user asked for `module:factory`: files of runs may name it from now on.

    Raises:
      ValueError: it is no `module:factory`, or of the standard library.
    """
    module_name, _, factory_name = name.partition(':')
    parts = [*module_name.split('.'), factory_name]
    if not all(part.isidentifier() for part in parts):
        raise ValueError('it must be module:factory, such as cart:make_cart')
    if parts[0] in sys.stdlib_module_names:
        raise ValueError('the module must be your own, not the standard library')
    _named.add(name)


def import_factory(name: str) -> Callable[[], Any]:
    """What `module:factory` names, which the user asked for.

    Raises:
      ValueError: it cannot be had; it says why.
    """
    name_code(name)
    module_name, _, factory_name = name.partition(':')
    try:
        return getattr(importlib.import_module(module_name), factory_name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f'it cannot be imported: {error}') from error


def check_named(name: str, file: Path, given: str | None = None, kind: str = 'task') -> None:
    """Whether code that a file of a run names may be loaded: none is looked for before that.

    Args:
      name: what the file says: a registered name, or `module:factory`.
      file: where it stands, in the run directory.
      given: the `module:factory` that the user names along with the run.
      kind: what it makes: a 'task' or a 'planner'.

    Raises:
      RunError: it is code, and the user of this process named another or none, or it would be
        found in the run directory itself; it says what to give.
      TaskError: `given` cannot be used.
    """
    if given is not None and given != name:
        raise RunError(f'{kind} = {given!r} is not that of {file}: it must be {name!r}')
    if not is_code(name, kind):
        return
    if given is not None:
        if _is_inside(given, file.parent):
            raise RunError(
                f'{kind} = {given!r}: its module lies in the run directory {file.parent}: '
                'move it elsewhere, or start from another directory'
            )
        try:
            name_code(given)
        except ValueError as error:
            raise TaskError(f'{kind} = {given!r}: {error}') from None
    if name not in _named:
        python = f'{kind}={name!r}' if kind == 'task' else f'mpq_jax.load_{kind}({name!r})'
        raise RunError(
            f'{file} names the {kind} {name!r}, which is code to import: where it is yours, say so '
            f'with --{kind}={name} (from Python: {python})'
        )


def _is_inside(name: str, directory: Path) -> bool:
    """Whether a module that is not imported yet would be found below a directory."""
    top = name.partition(':')[0].partition('.')[0]
    if top in sys.modules:
        return False
    spec = importlib.util.find_spec(top) if top.isidentifier() else None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    inside = directory.resolve()
    return any(Path(place).resolve().is_relative_to(inside) for place in places if place)
