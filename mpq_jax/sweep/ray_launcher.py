"""Cells of a sweep on a Ray cluster; whatever a worker does, the driver shows and keeps."""

import dataclasses
import logging
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mpq_jax.base.interrupts import Stopped, StopRequest, stop_on_signals
from mpq_jax.base.progress import Relay, Reporter
from mpq_jax.base.trust import is_code
from mpq_jax.base.validation import RunError
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep.grid import Cell
from mpq_jax.sweep.launch import Display, run_cell
from mpq_jax.sweep.parcels import pack, put_back, take, unpack
from mpq_jax.sweep.sweep_directory import SweepDirectory

try:
    import ray
    from ray.util.queue import Empty, Queue
except ImportError as error:
    raise RunError("--launcher=ray needs Ray: pip install 'mpq_jax[ray]'") from error

_POLL_SECONDS = 0.2
_TOKEN = '.driver'  # a file by which a worker sees whether it shares the driver's disk


@dataclasses.dataclass(frozen=True)
class RayLauncher:
    """Sends each cell to a worker; a cell whose worker dies starts again, up to `retries` times.

    On a shared disk a cell writes into the sweep directory itself, so that a second try goes on
    from the last checkpoint; elsewhere a begun run directory travels there, and back when it is
    done. To a cluster travel, too, this package and the modules of the user's own tasks.
    """

    address: str | None = None  # of a cluster; None starts one on this machine
    cpus: float = 1.0  # that a cell asks for
    gpus: float = 0.0
    retries: int = 3

    def __call__(
        self, cells: Sequence[Cell], directory: SweepDirectory, display: Display
    ) -> list[str]:
        """Runs the cells; see `launch.Launcher`.

        Raises:
          RunError: no cluster there, or none that could ever grant a cell its resources.
          Stopped: a signal came; workers were told to save and stop.
        """
        started = not ray.is_initialized()
        if started:
            self._connect(cells)
        token = directory.path.absolute() / _TOKEN
        token.write_text(uuid.uuid4().hex)
        try:
            self._check_resources()
            for cell in cells:
                put_back(directory.run(cell.name))
            queue = Queue(actor_options={'num_cpus': 0})
            try:
                with stop_on_signals() as stop:
                    return self._run(cells, directory, display, stop, queue)
            finally:
                queue.shutdown()
        finally:
            token.unlink(missing_ok=True)
            if started:
                ray.shutdown()

    def _connect(self, cells: Sequence[Cell]) -> None:
        modules = [str(Path(__file__).parents[1]), *user_modules(cells)]
        environment = {'py_modules': modules} if self.address else {}
        try:
            ray.init(
                address=self.address,
                runtime_env=environment,
                log_to_driver=False,
                logging_level=logging.WARNING,
                include_dashboard=False if self.address is None else None,
            )
        except ConnectionError as error:
            raise RunError(f'--ray_address = {self.address!r}: {error}') from error

    def _check_resources(self) -> None:
        there = ray.cluster_resources()
        for name, wanted in (('CPU', self.cpus), ('GPU', self.gpus)):
            if wanted > there.get(name, 0):
                raise RunError(
                    f'a cell asks for {wanted:g} {name}, the Ray cluster has '
                    f'{there.get(name, 0):g}: lower --ray_{name.lower()}s'
                )

    def _run(
        self, cells: Sequence[Cell], directory: SweepDirectory, display: Display,
        stop: StopRequest, queue: Queue,
    ) -> list[str]:  # fmt: skip
        remote = ray.remote(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1
        )(_work)
        secret = (directory.path.absolute() / _TOKEN).read_text()
        pending: dict[Any, Cell] = {}
        for cell in cells:
            run = directory.run(cell.name)
            begun = pack(run) if self.address and run.config_file.exists() else None
            order = _Order(cell, str(run.path.absolute()), secret, self.cpus, sys.path[0], begun)
            pending[remote.remote(order, queue)] = cell
        lines = _Lines(display)
        failures = []
        cancelled = False
        while pending:
            ready, _ = ray.wait(list(pending), timeout=_POLL_SECONDS)
            lines.show(queue, cells)
            if stop and not cancelled:
                cancelled = True
                for task in pending:
                    ray.cancel(task)
            for task in ready:
                cell = pending.pop(task)
                lines.close(cell)
                problem = _collect(task, cell, directory)
                if problem is None:
                    display.finished(cell)
                elif not stop:
                    failures.append(f'{cell.name}: {problem}')
                    display.say(f'failed, going on without it: {failures[-1]}')
        if stop:
            raise Stopped(f'stopped by {stop.signal_name}', stop.signal_name)
        return failures


class _Lines:
    """A line on the display for each cell that a worker reports from."""

    def __init__(self, display: Display):
        self._display = display
        self._open: dict[str, Reporter] = {}

    def show(self, queue: Queue, cells: Sequence[Cell]) -> None:
        """Repeats here what workers said since the last time."""
        by_name = {cell.name: cell for cell in cells}
        while True:
            try:
                name, method, arguments = queue.get_nowait()
            except Empty:
                return
            if name not in self._open:
                self._open[name] = self._display.cell(by_name[name]).__enter__()
            getattr(self._open[name], method)(*arguments)

    def close(self, cell: Cell) -> None:
        reporter = self._open.pop(cell.name, None)
        if reporter is not None:
            reporter.__exit__(None, None, None)


class _Order(NamedTuple):
    """What a worker is sent."""

    cell: Cell
    path: str  # of the cell's run on the driver's disk
    secret: str  # what the driver wrote beside it
    cpus: float
    import_path: str  # where the driver finds module:factory of the user's own
    begun: bytes | None  # the run so far, for a worker that does not see it


def _work(order: _Order, queue: Queue) -> bytes | None:
    """On a worker: runs a cell; None where it wrote to the driver's disk, else its packed run."""
    import jax

    if order.import_path not in sys.path:
        sys.path.insert(0, order.import_path)
    jax.config.update('jax_default_matmul_precision', 'float32')
    jax.config.update('jax_num_cpu_devices', max(1, int(order.cpus)))
    cell = order.cell
    relay = Relay(cell.name, lambda method, arguments: queue.put((cell.name, method, arguments)))
    token = Path(order.path).parents[1] / _TOKEN
    if token.is_file() and token.read_text() == order.secret:
        _finish(cell, RunDirectory(order.path), relay)
        return None
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / cell.name
        run = RunDirectory(path) if order.begun is None else unpack(order.begun, path)
        _finish(cell, run, relay)
        return pack(run)


def _finish(cell: Cell, run: RunDirectory, relay: Relay) -> None:
    if not run.finished(cell.config):
        run_cell(cell, run, relay)


def _collect(task: Any, cell: Cell, directory: SweepDirectory) -> str | None:
    """Takes a cell's result; a message if it failed."""
    try:
        content = ray.get(task)
    except Exception as error:  # of any type that a worker may raise, or its death
        reason = str(error).strip().splitlines() or ['']
        return f'{type(error).__name__}: {reason[-1]}'
    if content is not None:
        try:
            take(content, directory.run(cell.name))
        except (OSError, RunError) as error:
            return str(error)
    return None


def user_modules(cells: Sequence[Cell]) -> list[str]:
    """Files and package folders of the modules in which the cells' own tasks and planners are."""
    named = {
        name
        for cell in cells
        for kind, name in (('task', cell.config.task), ('planner', cell.config.planner.name))
        if is_code(name, kind)
    }
    tops = {name.partition(':')[0].partition('.')[0] for name in named}
    files = [Path(str(sys.modules[top].__file__)) for top in sorted(tops)]
    return [str(file.parent if file.name == '__init__.py' else file) for file in files]
