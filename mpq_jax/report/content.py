"""What a report shows, before it is a page."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple


class Interval(NamedTuple):
    """A mean over seeds and, where there are seeds enough, its 95 % interval, or else the seeds."""

    mean: float | None
    low: float | None = None
    high: float | None = None
    seeds: tuple[float, ...] = ()


Cell = str | int | float | Interval | None


@dataclasses.dataclass
class Table:
    """Rows of text, numbers and intervals; `marked` are the rows to highlight."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    note: str = ''
    marked: set[int] = dataclasses.field(default_factory=set)


class Medium(NamedTuple):
    """A figure or a replay."""

    path: Path
    caption: str


@dataclasses.dataclass
class Curve:
    """One configuration: rows of metrics as arrays `[S, E]` by column, NaN where empty."""

    label: str
    fields: dict[str, str]
    seeds: list[int]
    columns: dict[str, Any]
    no_control: bool = False  # drawn in grey


@dataclasses.dataclass
class Report:
    """A page's content. Empty parts are left out of the page."""

    title: str
    facts: dict[str, str]  # what stands in a line below the title
    problems: list[str] = dataclasses.field(default_factory=list)  # what is missing or odd
    results: list[Table] = dataclasses.field(default_factory=list)
    curves: list[Curve] = dataclasses.field(default_factory=list)
    figures: list[Medium] = dataclasses.field(default_factory=list)
    replays: list[Medium] = dataclasses.field(default_factory=list)
    settings: list[Table] = dataclasses.field(default_factory=list)
    versions: list[Table] = dataclasses.field(default_factory=list)
