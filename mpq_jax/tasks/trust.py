"""Whose code is run: a task of one's own is imported where its user named it, never a file."""

import importlib.util
import sys
from pathlib import Path

from mpq_jax.base.validation import RunError, TaskError

_named: set[str] = set()  # 'module:factory' that the user of this process asked for


def name_task(name: str) -> None:
    """Notes that the user asked for `module:factory`: files of runs may name it from now on.

    Raises:
      TaskError: it is no `module:factory`, or of the standard library.
    """
    module_name, _, factory_name = name.partition(':')
    parts = [*module_name.split('.'), factory_name]
    if not all(part.isidentifier() for part in parts):
        raise TaskError(f'task = {name!r}: it must be module:factory, such as cart:make_task')
    if parts[0] in sys.stdlib_module_names:
        raise TaskError(f'task = {name!r}: the module must be your own, not the standard library')
    _named.add(name)


def check_named(name: str, file: Path, given: str | None = None) -> None:
    """Whether a task that a file of a run names may be loaded: no code is looked for before that.

    Args:
      name: what the file says: a registered name, or `module:factory`.
      file: where it stands, in the run directory.
      given: the `module:factory` that the user names along with the run.

    Raises:
      RunError: it is code, and the user of this process named another or none, or it would be
        found in the run directory itself; it says what to give.
      TaskError: `given` cannot be used.
    """
    if given is not None and given != name:
        raise RunError(f'task = {given!r} is not that of {file}: it must be {name!r}')
    if ':' not in str(name):
        return
    if given is not None:
        if _is_inside(given, file.parent):
            raise RunError(
                f'task = {given!r}: its module lies in the run directory {file.parent}: '
                'move it elsewhere, or start from another directory'
            )
        name_task(given)
    if name not in _named:
        raise RunError(
            f'{file} names the task {name!r}, which is code to import: where it is yours, say so '
            f'with --task={name} (from Python: task={name!r})'
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
