"""Files of runs and sweeps, read as far as they can be; what links point to is none of them."""

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax.base.validation import RunError
from mpq_jax.report.content import Medium
from mpq_jax.runs.tables import MemberTables, tabulate

FIGURES = ('.png',)
REPLAYS = ('.gif', '.mp4', '.webm')


def read_object(path: Path) -> dict[str, Any]:
    """A JSON object. Raises RunError where there is none, or a link to one."""
    if path.is_symlink():
        raise RunError(_refused(path))
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RunError(f'{path} cannot be read: {error}') from error
    if not isinstance(value, dict):
        raise RunError(f'{path} cannot be used: it holds no JSON object')
    return value


def read_optional(path: Path, problems: list[str]) -> dict[str, Any]:
    """A JSON object; an empty one, and a problem noted, where it cannot be read."""
    if not path.exists():
        return {}
    try:
        return read_object(path)
    except RunError as error:
        problems.append(str(error))
        return {}


def read_csv(path: Path, problems: list[str]) -> Iterator[dict[str, str]]:
    """Whole rows by the file's own header; a missing file has none, a torn line is none."""
    if not path.exists():
        problems.append(f'{path.name} is missing from {path.parent.name}/')
        return
    if path.is_symlink():
        problems.append(_refused(path))
        return
    try:
        with open(path, newline='') as file:
            for row in csv.DictReader(file):
                if None not in row and None not in row.values():
                    yield row
    except (OSError, ValueError, csv.Error) as error:
        problems.append(f'{path} cannot be read: {error}')


def tabulate_finite(
    rows: Iterable[Mapping[str, str]], by: Sequence[str] = ('variant', 'seed')
) -> dict[int, MemberTables]:
    """Tables by variant (or by what `by` begins with); NaN for what is no finite number."""
    tables = tabulate(rows, by)
    for table in tables.columns.values():
        table[~np.isfinite(table)] = np.nan
    return tables.by_first()


def number(text: Any) -> float:
    """A cell's value; NaN where it is no finite number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return math.nan
    return value if math.isfinite(value) else math.nan


def flatten(nested: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Dotted name -> value."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f'{prefix}{name}.')
        else:
            flat[f'{prefix}{name}'] = value
    return flat


def text_of(value: Any) -> str:
    """A JSON value as a reader would write it."""
    return value if isinstance(value, str) else json.dumps(value)


def media(
    directory: Path, suffixes: Iterable[str], problems: list[str], where: str = ''
) -> list[Medium]:
    """The directory's own files of these kinds, captioned by their names; links are noted."""
    found = sorted(path for path in directory.iterdir() if path.suffix.lower() in suffixes)
    problems += [_refused(path) for path in found if path.is_symlink()]
    paths = [path for path in found if path.is_file() and not path.is_symlink()]
    prefix = f'{where}: ' if where else ''
    return [Medium(path, prefix + path.stem.replace('_', ' ')) for path in paths]


def own_directories(directory: Path, problems: list[str]) -> list[Path]:
    """What lies in a directory, in order, if anything; links are noted and left out."""
    found = sorted(directory.iterdir()) if directory.is_dir() else []
    links = [path for path in (directory, *found) if path.is_symlink()]
    problems += map(_refused, links)
    return [] if directory in links else [path for path in found if path not in links]


def _refused(path: Path) -> str:
    return f'{path} is a link and was not followed: a report shows the files of its run'
