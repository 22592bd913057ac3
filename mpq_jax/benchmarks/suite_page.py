"""What the suite found, as tables: on a console, as a markdown page, and as one figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import per_second
from mpq_jax.benchmarks import small_models
from mpq_jax.figures import plots

Row = Mapping[str, Any]

_TITLES = {
    'plan': 'Plans: physics steps/s (one iteration; noise, costs, Q and update included), '
    'times `mujoco.rollout`, median ms',
    'small': 'Models in which nothing touches: the same; mjx is straight-line, mjx_arrays MJX as '
    'it is',
    'targets': 'Learning targets: physics steps/s, times `mujoco.rollout`, median ms',
    'acting': 'A control step of the MPQ agent at the preset: p50 and p99 ms',
    'episode': "A training episode of a batch of seeds, by a run's own programs",
    'round': "A learning round of a batch of seeds, by a run's own programs",
    'numerics': 'After one control step from {states} starts, the largest difference from native '
    'MuJoCo (float64) as a share of the largest value: qpos, qvel',
}
_EXPLAINED = """
`mjx` is MJX, its step written out number by number where that pays; `mjx_arrays` the same with
`planner_physics.straight_line=off`; `mujoco` our planner on native MuJoCo; `equations` the
hand-written pendulum as a task; `bare rollouts` the steps of the first column without noise, costs
and update; `native mujoco.rollout` nothing but steps, on all cores, as many of them, without the
pendulum's speed limit; `roofline` the hand-written pendulum fused with its normals. Contenders of a
row take turns in one process, warmed and compiled ahead of time; medians. Every row with its
percentiles, repeats and compile seconds is in `benchmark.json`.
"""


class _Grid(NamedTuple):
    title: str
    headings: list[str]
    lines: list[list[tuple[str, ...]]]  # cells of several figures each


def show(rows: Sequence[Row], console: Console) -> None:
    """The tables on a console."""
    for grid in _grids(rows):
        table = Table(title=grid.title.replace('`', ''), box=box.SIMPLE)
        for heading in grid.headings:
            table.add_column(heading, overflow='fold')
        for line in grid.lines:
            table.add_row(*('\n'.join(cell) for cell in line))
        console.print(table)


def write(parts: Mapping[str, Any], rows: Sequence[Row], path: Path) -> None:
    """The page and the figure beside the JSON at `path`."""
    page = ['# Speed of this machine', '', *_machine(parts), _EXPLAINED]
    for grid in _grids(rows):
        page += [f'## {grid.title}', '']
        for line in [grid.headings, ['---'] * len(grid.headings), *map(_joined, grid.lines)]:
            page.append(f'| {" | ".join(line)} |')
        page.append('')
    measured = [row for row in rows if row['model_steps_per_s']]
    if measured:
        plots.rates(measured, path.with_suffix('.png'))
        page += [f'![Physics steps/s]({path.with_suffix(".png").name})', '']
    write_atomically(path.with_suffix('.md'), '\n'.join(page))


def _joined(line: list[tuple[str, ...]]) -> list[str]:
    return [', '.join(cell) for cell in line]


def _machine(parts: Mapping[str, Any]) -> list[str]:
    """What was measured on what, a line for each part."""
    lines = []
    for name, part in sorted(parts.items()):
        made = part['manifest']
        versions = ', '.join(f'{k} {v}' for k, v in made['versions'].items() if v)
        which = '' if name == '0' else f'Part {name} of {part["of"]}: '
        lines.append(
            f'- {which}`{made["command"]}`, {made["date"][:10]}, {part.get("seconds", 0):.0f} s; '
            f'{made["device"]}, {made["cpu_count"]} cores, load {part["load_before"]:.1f} before; '
            f'{versions}; revision {made["git_revision"]}'
        )
    return lines


def _grids(rows: Sequence[Row]) -> list[_Grid]:
    grids = []
    for name, title in _TITLES.items():
        work = 'plan' if name == 'small' else name
        small = [row['task'] in small_models.NAMES for row in rows]
        chosen = [
            row
            for row, is_small in zip(rows, small, strict=True)
            if row['work'] == work and (work != 'plan' or is_small == (name == 'small'))
        ]
        if chosen:
            grids.append(_grid(title.format(states=chosen[0]['num_states']), chosen))
    return grids


def _grid(title: str, rows: Sequence[Row]) -> _Grid:
    """A line a case, a column a contender."""
    contenders = list(dict.fromkeys(row['contender'] for row in rows))
    lines: dict[tuple, dict[str, tuple[str, ...]]] = {}
    for row in rows:
        size = row['task'], row['num_samples'], row['horizon'], row['num_states']
        lines.setdefault(size, {})[row['contender']] = _cell(row)
    names = [name.removeprefix('mpq ') for name in contenders]
    return _Grid(
        title,
        ['task', 'N', 'H', 'states', *names],
        [
            [*((str(part),) for part in size), *(cells.get(name, ('',)) for name in contenders)]
            for size, cells in lines.items()
        ],
    )


def _cell(row: Row) -> tuple[str, ...]:
    if row['left_out']:
        return (f'left out: {row["left_out"]}',)
    if row['work'] == 'numerics':
        return tuple(f'{row[f"difference_{which}"]:.1e}' for which in ('qpos', 'qvel'))
    if row['work'] == 'acting':
        return tuple(f'{1e3 * row[which]:.2f}' for which in ('p50_s', 'p99_s'))
    native = row['times_native']
    times = () if native is None or native == 1.0 else (f'{native:.3g}x',)
    return per_second(row['model_steps_per_s']), *times, f'{1e3 * row["p50_s"]:.3g} ms'
