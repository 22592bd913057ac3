"""What a sweep runs: the points of a grid, gathered into cells of one compiled program each."""

import dataclasses
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import Batch, Config
from mpq_jax.config.fields import (
    PLANNER,
    field_types,
    hint,
    numeric_fields,
    parse_value,
    set_fields,
    with_planners,
)
from mpq_jax.suite.presets import preset

Fields = dict[str, Any]  # dotted config field -> value

# What all points share, and how it is given.
_OWN_FIELDS = {
    'seed': '--seed and --num_seeds',
    'num_seeds': '--num_seeds',
    'episodes': '--episodes',
}
_PRESET = ('task', 'agent', 'preset')


@dataclasses.dataclass(frozen=True)
class Cell:
    """The points of a grid that differ in numeric fields alone: one program, one batch."""

    name: str  # its directory's
    batch: Batch  # numeric points are its variants
    points: tuple[Fields, ...]  # in the order of the variants: the swept fields of each

    @property
    def config(self) -> Config:
        return self.batch.config


@dataclasses.dataclass(frozen=True)
class Grid:
    """Points of config fields, all of which run with the same seeds and episodes."""

    fixed: Fields  # fields (and 'preset') that all points share
    points: tuple[Fields, ...]  # swept fields of each point; the same names in each
    seed: int
    num_seeds: int
    episodes: int

    @classmethod
    def of(cls, fixed: Fields, points: tuple[Fields, ...]) -> 'Grid':
        """A grid whose seeds and episodes are among the fixed fields, or else the preset's.

        Raises:
          ConfigError, TaskError: the first point cannot be used.
        """
        shared = {name: value for name, value in fixed.items() if name not in _OWN_FIELDS}
        start = set_fields(
            _preset(shared | points[0]), {n: fixed[n] for n in fixed if n in _OWN_FIELDS}
        )
        return cls(shared, points, start.seed, start.num_seeds, start.episodes)

    @property
    def swept(self) -> dict[str, list[Any]]:
        """Swept field -> its values, in order."""
        names = list(self.points[0])
        return {name: list(dict.fromkeys(p[name] for p in self.points)) for name in names}

    def config(self, point: Fields) -> Config:
        """The config of one point.

        Raises:
          ConfigError, TaskError: it cannot be used.
        """
        fields = self.fixed | point
        own = {'seed': self.seed, 'num_seeds': self.num_seeds, 'episodes': self.episodes}
        given = {name: value for name, value in fields.items() if name not in _PRESET}
        return set_fields(_preset(fields), given | own)

    def cells(self, taken: Iterable[str] = ()) -> list[Cell]:
        """One cell for each combination of static values; names differ from those `taken`.

        Raises:
          ConfigError, TaskError: a point that cannot be used.
        """
        groups: dict[tuple, list[Fields]] = {}
        for point in self.points:
            groups.setdefault(tuple(self._static(point).items()), []).append(point)
        names = set(taken)
        cells = []
        for points in groups.values():
            cell = self._cell(points, names)
            names.add(cell.name)
            cells.append(cell)
        return cells

    def _cell(self, points: list[Fields], taken: set[str]) -> Cell:
        static = self._static(points[0])
        numeric = tuple({k: v for k, v in p.items() if k not in static} for p in points)
        batch = Batch(self.config(static), numeric if numeric[0] else ()).validate()
        return Cell(_new_name(static, taken), batch, tuple(points))

    def _static(self, point: Fields) -> Fields:
        """The fields of a point that shape its program."""
        planner = (self.fixed | point).get(PLANNER, Config().planner.name)
        numbers = numeric_fields(*with_planners([planner]))
        return {name: value for name, value in point.items() if name not in numbers}


def product(swept: Mapping[str, Sequence[Any]]) -> tuple[Fields, ...]:
    """Every combination of the values, the last field fastest."""
    return tuple(
        dict(zip(swept, values, strict=True)) for values in itertools.product(*swept.values())
    )


def parse_sweeps(texts: Iterable[str], configs: Sequence[Config] = ()) -> dict[str, list[Any]]:
    """['planner.horizon=1,2', ...] -> {'planner.horizon': [1, 2], ...}, typed.

    Args:
      texts: of the form field=value,value,...
      configs: which have the fields; one of the default planner if empty.

    Raises:
      ConfigError: an unknown field, a value of another type, no value, one given twice, or a
        field that a sweep sets itself.
    """
    swept: dict[str, list[Any]] = {}
    types = {name: t for config in configs or [Config()] for name, t in field_types(config).items()}
    for text in texts:
        name, equals, values = (part.strip() for part in text.partition('='))
        if not equals:
            raise ConfigError('--sweep', text, 'of the form field=value,value,...')
        if name not in types:
            raise ConfigError('--sweep', name, f'a field of the config{hint(name, types)}')
        if name in _OWN_FIELDS:
            raise ConfigError('--sweep', name, f'given as {_OWN_FIELDS[name]}')
        if name in swept:
            raise ConfigError('--sweep', name, 'given once: all its values in one list')
        swept[name] = _values(name, values, configs)
    return swept


def _preset(fields: Fields) -> Config:
    return preset(
        fields.get('task', 'pendulum'), fields.get('agent', 'mpq'), fields.get('preset', 'default')
    )


def _values(name: str, text: str, configs: Sequence[Config]) -> list[Any]:
    parts = [part.strip() for part in text.split(',')]
    if not all(parts):
        raise ConfigError(f'--sweep {name}', text, 'a list of values with commas, none empty')
    values = [parse_value(name, part, configs) for part in parts]
    twice = [value for value in values if values.count(value) > 1]
    if twice:
        raise ConfigError(f'--sweep {name}', twice[0], 'in the list once')
    return values


def _new_name(static: Fields, taken: set[str]) -> str:
    plain = ','.join(f'{name}={value}' for name, value in static.items()) or 'all'
    plain = re.sub(r'[^A-Za-z0-9._=,-]', '_', plain)
    candidates = itertools.chain([plain], (f'{plain}+{i}' for i in itertools.count(2)))
    return next(name for name in candidates if name not in taken)
