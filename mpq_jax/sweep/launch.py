"""Running a sweep: the plan is shown, unfinished cells run, the results are gathered."""

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mpq_jax.base.interrupts import Stopped
from mpq_jax.base.progress import Reporter, make_bars, make_console
from mpq_jax.base.validation import RunError
from mpq_jax.config.run_length import counted, most_steps
from mpq_jax.learning.workload import Workload
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep.grid import Cell, Grid
from mpq_jax.sweep.results import summarize
from mpq_jax.sweep.sweep_directory import SweepDirectory
from mpq_jax.tasks import keep_tasks
from mpq_jax.training.assembly import count_work, make_programs
from mpq_jax.training.trainer import train


class Display:
    """Progress of a sweep: one line for all of it, one for each cell that runs."""

    def __init__(
        self, cells: Sequence[Cell], finished: int, costs: dict[str, float], console: Console
    ):
        self._console, self._costs = console, costs
        self._bars = make_bars(console)
        self._sweep = Reporter('sweep', len(cells), 'cells', console, bars=self._bars)
        self._sweep.start_at(finished)
        self._done, self._begin, self._paid = finished, time.perf_counter(), 0.0

    def __enter__(self) -> 'Display':
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bars:
            self._bars.stop()

    def cell(self, cell: Cell) -> Reporter:
        """A line for a cell that starts."""
        return Reporter(cell.name, *counted(cell.config), self._console, bars=self._bars)

    def say(self, message: str) -> None:
        self._sweep.say(message)

    def finished(self, cell: Cell) -> None:
        """Counts a cell as done; what is left follows from the costs of the others."""
        self._done += 1
        self._paid += self._costs[cell.name]
        seconds = time.perf_counter() - self._begin
        left = seconds / self._paid * (sum(self._costs.values()) - self._paid)
        self._sweep.advance(self._done, f'{cell.name} done', seconds, left)


# Runs cells, reports each to the display as it finishes, and returns messages of those that failed.
Launcher = Callable[[Sequence[Cell], SweepDirectory, Display], list[str]]


@keep_tasks()
def run_sweep(
    grid: Grid,
    run_dir: str | Path,
    *,
    launcher: Launcher | None = None,
    console: Console | None = None,
) -> SweepDirectory:
    """Runs every point of a grid that a sweep directory does not hold yet, and gathers all results.

    Args:
      grid: the points; one that contains the directory's recorded grid continues it.
      run_dir: the sweep directory.
      launcher: runs the cells; in this process, one after the other, if None.
      console: where the plan and the progress are shown.

    Raises:
      ConfigError, TaskError, RunError: before anything runs, what cannot be used; a RunError
        after all other cells ran, if some failed.
      Stopped: Ctrl-C or SIGTERM came; the same call continues the sweep.
    """
    begin = time.perf_counter()
    console = console or make_console()
    directory = SweepDirectory(run_dir)
    cells = directory.plan(grid)
    work = {cell.name: count_work(cell.batch) for cell in cells}
    if launcher is None:  # what cannot be built here is named before anything runs
        for cell in cells:
            make_programs(cell.batch)
    unfinished = [cell for cell in cells if not directory.finished(cell)]
    console.print(_plan_table(cells, work, directory))
    directory.record(grid, cells)
    costs = {cell.name: _cost(work[cell.name]) for cell in unfinished}
    try:
        with Display(cells, len(cells) - len(unfinished), costs, console) as display:
            failures = (launcher or run_here)(unfinished, directory, display)
    except BaseException as error:
        with contextlib.suppress(Exception):  # what ended the sweep is what is said
            summarize(directory, console)
        if isinstance(error, Stopped):
            where = f'the same command continues the sweep in {directory.path}'
            stopped = f'{str(error).split(";")[0]}; {where}'
            raise Stopped(stopped, error.signal_name) from None
        raise
    summarize(directory, console)
    directory.record_session(unfinished, time.perf_counter() - begin)
    if failures:
        raise RunError('cells failed (the others are complete):\n  ' + '\n  '.join(failures))
    return directory


def run_here(cells: Sequence[Cell], directory: SweepDirectory, display: Display) -> list[str]:
    """Cells one after the other in this process, each on all local devices."""
    failures = []
    for cell in cells:
        with display.cell(cell) as reporter:
            try:
                run_cell(cell, directory.run(cell.name), reporter)
            except (RunError, ArithmeticError, OSError, RuntimeError, ValueError) as error:
                failures.append(f'{cell.name}: {type(error).__name__}: {error}')
                display.say(f'failed, going on without it: {failures[-1]}')
                continue
        display.finished(cell)
    return failures


def run_cell(cell: Cell, run: RunDirectory, reporter: Reporter) -> None:
    """Starts a cell, or continues it from its last checkpoint."""
    train(cell.batch, run.path, resume=run.config_file.exists(), reporter=reporter)


def _cost(work: Workload) -> float:
    """Of a cell, for the ETA: its model steps, and what a control step takes beside them."""
    control_steps = most_steps(work.config, work.episode_steps)
    return work.total + 100.0 * len(work.batch.members) * control_steps


def _plan_table(
    cells: Sequence[Cell], work: dict[str, Workload], directory: SweepDirectory
) -> Table:
    """What is going to run: each cell is compiled once, its members run as one batch."""
    table = Table(title=f'sweep in {directory.path}: a cell is one set of compiled programs')
    for heading in ('cell', 'points', 'seeds', 'batch', 'model steps', 'compiles', 'state'):
        table.add_column(heading, overflow='fold')
    for cell in cells:
        own = work[cell.name]
        table.add_row(
            cell.name,
            str(len(cell.points)),
            str(cell.config.num_seeds),
            str(len(cell.batch.members)),
            f'{own.total:,}',
            ', '.join(own.programs),
            _state(cell, directory),
        )
    return table


def _state(cell: Cell, directory: SweepDirectory) -> str:
    if directory.finished(cell):
        return 'finished'
    return 'continues' if directory.run(cell.name).config_file.exists() else 'new'
