"""Cells of a sweep on a Ray cluster; whatever a worker does, the driver shows and keeps."""

import dataclasses
import io
import logging
import sys
import tarfile
import tempfile
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mpq_jax.base.interrupts import Stopped, StopRequest, stop_on_signals
from mpq_jax.base.progress import Relay, Reporter
from mpq_jax.base.validation import RunError
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep.grid import Cell
from mpq_jax.sweep.launch import Display, run_cell
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
    from the last checkpoint; elsewhere its run directory travels back when it is done.
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
            self._connect()
        token = directory.path.absolute() / _TOKEN
        token.write_text(uuid.uuid4().hex)
        try:
            self._check_resources()
            with stop_on_signals() as stop:
                return self._run(cells, directory, display, stop, token)
        finally:
            token.unlink(missing_ok=True)
            if started:
                ray.shutdown()

    def _connect(self) -> None:
        """Workers import what the driver imports: this package travels to a foreign cluster."""
        here = Path(__file__).parents[1]
        environment = {'py_modules': [str(here)]} if self.address else {}
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
        stop: StopRequest, token: Path,
    ) -> list[str]:  # fmt: skip
        remote = ray.remote(
            num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries, max_calls=1
        )(_work)
        queue = Queue(actor_options={'num_cpus': 0})
        pending: dict[Any, Cell] = {}
        for cell in cells:
            path = directory.run(cell.name).path.absolute()
            secret = token.read_text()
            arguments = cell, str(path), secret, self.cpus, sys.path[0], queue
            pending[remote.remote(*arguments)] = cell
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
        queue.shutdown()
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


def _work(
    cell: Cell, path: str, secret: str, cpus: float, import_path: str, queue: Queue
) -> bytes | None:
    """On a worker: runs a cell; None where it wrote to the driver's disk, else a tar of its run."""
    import jax

    if import_path not in sys.path:
        sys.path.insert(0, import_path)  # module:factory of the user's own
    jax.config.update('jax_default_matmul_precision', 'float32')
    jax.config.update('jax_num_cpu_devices', max(1, int(cpus)))
    relay = Relay(cell.name, lambda method, arguments: queue.put((cell.name, method, arguments)))
    token = Path(path).parents[1] / _TOKEN
    if token.is_file() and token.read_text() == secret:
        _finish(cell, RunDirectory(path), relay)
        return None
    with tempfile.TemporaryDirectory() as temporary:
        run = RunDirectory(Path(temporary) / cell.name)
        _finish(cell, run, relay)
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode='w:gz') as archive:
            archive.add(run.path, arcname='.')
        return stream.getvalue()


def _finish(cell: Cell, run: RunDirectory, relay: Relay) -> None:
    if run.finished_episodes < cell.config.episodes:
        run_cell(cell, run, relay)


def _collect(task: Any, cell: Cell, directory: SweepDirectory) -> str | None:
    """Takes a cell's result; a message if it failed."""
    try:
        content = ray.get(task)
    except Exception as error:  # of any type that a worker may raise, or its death
        reason = str(error).strip().splitlines() or ['']
        return f'{type(error).__name__}: {reason[-1]}'
    if content is not None:
        path = directory.run(cell.name).path
        arriving = path.with_name(f'{path.name}.arriving{time.time_ns()}')
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(arriving, filter='data')
        arriving.rename(path)
    return None
