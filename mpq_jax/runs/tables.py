"""Rows of metrics as tables: every column as an array of members and episodes."""

import dataclasses
import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mpq_jax.base.validation import RunError

_EPISODE = 'episode'


@dataclasses.dataclass(frozen=True)
class MemberTables:
    """What the members of a batch did, episode by episode."""

    members: list[tuple[int, ...]]  # sorted; (variant, seed) unless asked otherwise
    counts: np.ndarray  # `[B]`, rows of each member
    columns: dict[str, np.ndarray]  # `[B, E]`, NaN where a cell is empty or no number

    @property
    def seeds(self) -> list[int]:
        """`[B]`, the last part of who a member is."""
        return [member[-1] for member in self.members]

    def by_first(self) -> dict[int, 'MemberTables']:
        """The members of each variant (or of what else their first part is)."""
        firsts = [member[0] for member in self.members]
        return {
            first: self._of([i for i, other in enumerate(firsts) if other == first])
            for first in dict.fromkeys(firsts)
        }

    def _of(self, places: list[int]) -> 'MemberTables':
        columns = {name: table[places] for name, table in self.columns.items()}
        return MemberTables([self.members[i] for i in places], self.counts[places], columns)


def tabulate(
    rows: Iterable[Mapping[str, str]],
    by: Sequence[str] = ('variant', 'seed'),
    names: Sequence[str] | None = None,
) -> MemberTables:
    """Rows as text, read once and not kept.

    Args:
      rows: of any order; all have the columns of the first.
      by: the columns that tell members apart; an empty or missing variant is 0.
      names: the other columns to read; all of them if left out.

    Raises:
      RunError: a member or an episode that is no whole number from 0 on.
    """
    places: dict[tuple[int, ...], int] = {}
    who, when = array('q'), array('q')
    cells: dict[str, array] = {}
    for row in rows:
        if not who:
            apart = (*by, 'variant', _EPISODE)
            chosen = names if names is not None else [n for n in row if n not in apart]
            cells = {name: array('d') for name in chosen}
        member = tuple(_whole(row.get(n, '') or '0' * (n == 'variant')) for n in by)
        who.append(places.setdefault(member, len(places)))
        when.append(_whole(row.get(_EPISODE, '')))
        for name, column in cells.items():
            column.append(_number(row.get(name)))
    members = sorted(places)
    if not members:
        return MemberTables([], np.zeros(0, int), {n: np.zeros((0, 0)) for n in names or ()})
    rank = np.empty(len(members), int)
    rank[[places[member] for member in members]] = np.arange(len(members))
    at = rank[np.asarray(who)], np.asarray(when)
    columns = {}
    for name, column in cells.items():
        columns[name] = np.full((len(members), max(when) + 1), np.nan)
        columns[name][at] = column
    return MemberTables(members, np.bincount(at[0], minlength=len(members)), columns)


def _whole(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise RunError(f'a row of metrics has {text!r} where a seed or an episode belongs')
    return value


def _number(text: Any) -> float:
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def last_quarter(table: np.ndarray) -> np.ndarray:
    """The last quarter of the episodes of `[..., E]`, one at least."""
    return table[..., -max(1, table.shape[-1] // 4) :]
