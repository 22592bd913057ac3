"""A sweep is a directory: its grid, its cells (run directories), and what came out of them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from mpq_jax.base.files import write_atomically
from mpq_jax.base.trust import check_named
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config.fields import PLANNER
from mpq_jax.config.versions import renamed
from mpq_jax.runs.run_directory import RunDirectory, manifest
from mpq_jax.sweep.grid import Cell, Fields, Grid


class SweepDirectory:
    """Paths of a sweep, and the record of its grid."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.sweep_file = self.path / 'sweep.json'
        self.manifest_file = self.path / 'manifest.json'
        self.rows_file = self.path / 'sweep.csv'
        self.summary_csv = self.path / 'summary.csv'
        self.summary_json = self.path / 'summary.json'

    def run(self, cell_name: str) -> RunDirectory:
        return RunDirectory(self.path / 'cells' / cell_name)

    def finished(self, cell: Cell) -> bool:
        """Whether a cell ran to its end."""
        return self.run(cell.name).finished(cell.config)

    def plan(self, grid: Grid) -> list[Cell]:
        """The cells of a grid: those recorded here, and new ones for points not seen before.

        Raises:
          ConfigError: the directory holds a sweep that this grid does not contain.
          RunError: it holds something else.
        """
        for point in grid.points:
            grid.config(point).validate()
        known = self._recorded_cells(grid)
        cells = [cell for cell, _ in known]
        done = {
            (_key(point), seed) for cell, seeds in known for point in cell.points for seed in seeds
        }
        for first, count, points in _missing(grid, done):
            part = dataclasses.replace(grid, points=points, seed=first, num_seeds=count)
            cells += part.cells(taken=[cell.name for cell in cells])
        return cells

    def record(self, grid: Grid, cells: list[Cell]) -> None:
        """Writes the grid and its cells.

        Raises:
          RunError: the directory cannot be written.
        """
        content = {
            'fixed': grid.fixed,
            'swept': grid.swept,
            'seeds': list(range(grid.seed, grid.seed + grid.num_seeds)),
            'episodes': grid.episodes,
            'cells': [
                {
                    'directory': f'cells/{cell.name}',
                    'configurations': list(cell.points),
                    'seeds': list(cell.config.seeds),
                }
                for cell in cells
            ],
        }
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not self.manifest_file.exists():
                write_atomically(self.manifest_file, json.dumps(manifest(), indent=2) + '\n')
            write_atomically(self.sweep_file, json.dumps(content, indent=2) + '\n')
        except OSError as error:
            raise RunError(f'run_dir = {str(self.path)!r} cannot be written: {error}') from error

    def record_session(self, cells: list[Cell], wall_seconds: float) -> None:
        """Notes in the manifest how long the cells that ran took, and what of it was compiled work.

        In seconds of all cells together: with a cluster they exceed the wall time.
        """
        compiling = running = 0.0
        for cell in cells:
            file = self.run(cell.name).manifest_file
            own = json.loads(file.read_text()) if file.exists() else {}
            compiling += sum(own.get('compile_seconds', {}).values())
            running += own.get('run_seconds', 0.0)
        record = json.loads(self.manifest_file.read_text())
        session = {
            'cells': [cell.name for cell in cells],
            'wall_seconds': round(wall_seconds, 2),
            'compile_seconds': round(compiling, 2),
            'run_seconds': round(running, 2),
        }
        record.setdefault('sessions', []).append(session)
        write_atomically(self.manifest_file, json.dumps(record, indent=2) + '\n')

    def read(self) -> dict[str, Any]:
        """What `sweep.json` holds.

        Raises:
          RunError: there is none, or it cannot be read.
        """
        try:
            return _renamed(json.loads(self.sweep_file.read_text()))
        except (OSError, ValueError) as error:
            raise RunError(f'run_dir = {str(self.path)!r} holds no sweep: {error}') from error

    @property
    def task(self) -> str:
        """The one that all points share. Raises RunError where nobody named it (`check_named`)."""
        task = self.read()['fixed']['task']
        check_named(task, self.sweep_file)
        return task

    @property
    def points(self) -> list[Fields]:
        """The points that the sweep holds; none where there is no sweep yet.

        Raises:
          RunError: one has a task that nobody named (`check_named`).
        """
        cells = self.read()['cells'] if self.sweep_file.exists() else []
        points = [point for cell in cells for point in cell['configurations']]
        for point in points:
            check_named(point.get('task', ''), self.sweep_file)
            check_named(str(point.get(PLANNER, '')), self.sweep_file, kind='planner')
        return points

    def _recorded_cells(self, grid: Grid) -> list[tuple[Cell, list[int]]]:
        if not self.sweep_file.exists():
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                raise RunError(f'run_dir = {str(self.path)!r} holds something that is no sweep')
            return []
        before = self.read()
        self._check_contains(grid, before)
        cells = []
        for recorded in before['cells']:
            seeds, points = recorded['seeds'], tuple(recorded['configurations'])
            part = dataclasses.replace(grid, points=points, seed=seeds[0], num_seeds=len(seeds))
            (cell,) = part.cells()
            name = recorded['directory'].removeprefix('cells/')
            cells.append((dataclasses.replace(cell, name=name), seeds))
        return cells

    def _check_contains(self, grid: Grid, before: dict[str, Any]) -> None:
        """Raises ConfigError naming the first field in which a recorded sweep is not contained."""
        where = f'as in {self.sweep_file}, or in another directory'
        now = {**grid.fixed, 'swept fields': sorted(grid.swept)}
        then = {**before['fixed'], 'swept fields': sorted(before['swept'])}
        for name in dict.fromkeys([*then, *now]):
            if now.get(name) != then.get(name):
                raise ConfigError(name, now.get(name), f'{then.get(name)!r} {where}')
        points = {_key(point) for point in grid.points}
        for cell in before['cells']:
            for point in cell['configurations']:
                if _key(point) not in points:
                    raise ConfigError('--sweep', grid.swept, f'to contain {point} {where}')
        seeds = before['seeds']
        if not set(seeds) <= set(range(grid.seed, grid.seed + grid.num_seeds)):
            raise ConfigError('num_seeds', grid.num_seeds, f'to contain the seeds {seeds} {where}')
        if grid.episodes < before['episodes']:
            raise ConfigError('episodes', grid.episodes, f'at least {before["episodes"]} {where}')


def _missing(grid: Grid, done: set) -> list[tuple[int, int, tuple[Fields, ...]]]:
    """Runs of consecutive seeds (first, count) that the same points lack, and those points."""
    wanted: dict[tuple[int, ...], list[Fields]] = {}
    all_seeds = range(grid.seed, grid.seed + grid.num_seeds)
    for point in grid.points:
        lacking = tuple(seed for seed in all_seeds if (_key(point), seed) not in done)
        if lacking:
            wanted.setdefault(lacking, []).append(point)
    parts = []
    for seeds, points in wanted.items():
        breaks = [i for i in range(1, len(seeds)) if seeds[i] != seeds[i - 1] + 1]
        for low, high in zip([0, *breaks], [*breaks, len(seeds)], strict=True):
            parts.append((seeds[low], high - low, tuple(points)))
    return parts


def _renamed(sweep: dict[str, Any]) -> dict[str, Any]:
    """The fields of an older sweep as this version calls them."""
    cells = [
        cell | {'configurations': [renamed(point) for point in cell['configurations']]}
        for cell in sweep['cells']
    ]
    fields = {name: renamed(sweep[name]) for name in ('fixed', 'swept') if name in sweep}
    return sweep | fields | {'cells': cells}


def _key(point: Fields) -> str:
    return json.dumps(point, sort_keys=True)
