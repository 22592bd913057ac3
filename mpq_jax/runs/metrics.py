"""metrics.csv and TensorBoard events: one row per member of the batch and episode."""

import contextlib
import csv
import errno
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpq_jax.base.files import write_atomically
from mpq_jax.base.validation import RunError
from mpq_jax.runs.tables import tabulate

if TYPE_CHECKING:
    from mpq_jax.runs.events import EventsWriter

# Steps and model steps are cumulative; seconds are of the whole batch.
COLUMNS = (
    'variant',  # which of the batch's variants; 0 where it has none
    'seed',
    'episode',
    'return',
    'success',  # at some instant; these three are empty where the task has none
    'success_at_end',
    'success_share',
    'q_loss',  # empty where nothing was learned
    'env_steps',  # that Q's data come from: real ones, or of redrawn models with q_data='dr'
    'validation_env_steps',
    'model_steps',
    'nonfinite_fraction',
    'effective_sample_size',
    'collect_seconds',
    'learn_seconds',
    'validation_return',  # empty between validations
    'nonfinite_steps',
    'nonfinite_targets',
    'q_restores',  # cumulative: rounds whose Q diverged and was put back
    'physics_warnings',  # MuJoCo's, of the whole batch, planning included
    'ess_missed',  # share of control steps that missed planner.target_ess; 0 where there is none
    'target_effective_sample_size',  # mean, of the samples of Q's targets
    'action_change',  # mean squared change of the action from one control step to the next
    # Of the planner's models, where they are learned (`learning.model_errors`).
    'random_actions',  # whether the episode's actions were random
    'model_loss',  # negative log-likelihood, of the last epoch
    'model_holdout_loss',  # the same on held-out data
    'model_coverage',  # share of this episode's outcomes in the 90 % band predicted before it
    'model_error',  # of predicting this episode H - 1 steps ahead; 1: as if nothing moved
    'model_restores',  # cumulative: fits that diverged and were put back
    # Of a policy, where one is learned.
    'policy_loss',
    'entropy',  # in nats, of its actions
    'entropy_temperature',  # what a nat is worth, in units of cost
    'updates',  # gradient steps of the round; of random search, directions that counted
    'model_share',  # of a minibatch, from rollouts on the learned model
    'model_transitions',  # of the round, that were stored
    'policy_restores',  # cumulative: rounds whose policy diverged and was put back
    'own_return',  # by the rewards of somebody else's environment; empty where there are none
    'own_terminated',  # whether it ended by that environment's own rule
)
WALL_TIME_COLUMNS = ('collect_seconds', 'learn_seconds')


class MetricsWriter:
    """Appends rows to a CSV, and the means over seeds to TensorBoard events.

    The CSV is the result: where it cannot be written, the run stops. Events can be done without.
    """

    def __init__(
        self,
        metrics_file: Path,
        events: Path,
        first_episode: int,
        say: Callable[[str], None] = print,
    ):
        """Rows and events from `first_episode` on, left by a run that was killed, are cut.

        Raises:
          RunError: the CSV cannot be read or written.
        """
        self._file, self._say = metrics_file, say
        self._events: EventsWriter | None = None
        kept = read_rows(metrics_file) if metrics_file.exists() else []
        kept = [row for row in kept if int(row['episode']) < first_episode]
        lines = [','.join(COLUMNS), *(','.join(row[name] for name in COLUMNS) for row in kept)]
        with self._writing():
            write_atomically(metrics_file, '\n'.join(lines) + '\n')
            self._stream = open(metrics_file, 'ab', buffering=0)  # noqa: SIM115
        with self._optional_events():
            self._events = _events_writer(events, first_episode)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Rows of one episode, one a member; missing columns stay empty.

        Raises:
          RunError: the CSV cannot be written; it holds whole episodes then.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator='\n')
        writer.writerows([cell_text(row.get(name)) for name in COLUMNS] for row in rows)
        with self._writing():
            self._append(text.getvalue().encode())
        variants = sorted({row['variant'] for row in rows})
        with self._optional_events():
            for variant in variants:
                suffix = f'/variant_{variant}' if len(variants) > 1 else ''
                self._write_events([row for row in rows if row['variant'] == variant], suffix)

    def sync(self) -> None:
        """Makes the rows outlive a crash of the machine. Raises RunError."""
        with self._writing():
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()
        with self._optional_events():
            if self._events is not None:
                self._events.close()

    def _append(self, content: bytes) -> None:
        """All of it, or nothing."""
        if not os.path.samestat(os.stat(self._file), os.fstat(self._stream.fileno())):
            raise FileNotFoundError(errno.ENOENT, 'replaced while the run wrote to it')
        before = os.fstat(self._stream.fileno()).st_size
        try:
            while content:
                content = content[self._stream.write(content) :]
        except OSError:
            os.ftruncate(self._stream.fileno(), before)
            raise

    def _write_events(self, rows: list[dict[str, Any]], suffix: str) -> None:
        """Means over the seeds of one variant."""
        if self._events is None:
            return
        scalars = {}
        for name in COLUMNS[3:]:
            values = [float(row[name]) for row in rows if row.get(name) is not None]
            if values:
                scalars[_event_name(name) + suffix] = float(np.mean(values))
        self._events.add(scalars, rows[0]['episode'])

    @contextlib.contextmanager
    def _writing(self):
        try:
            yield
        except OSError as error:
            raise RunError(f'{self._file} cannot be written: {error}') from error

    @contextlib.contextmanager
    def _optional_events(self):
        try:
            yield
        except OSError as error:
            self._events = None
            self._say(f'TensorBoard events cannot be written, going on without them: {error}')


def _events_writer(directory: Path, first_episode: int) -> 'EventsWriter':
    from mpq_jax.runs.events import EventsWriter

    return EventsWriter(directory, first_episode)


def iterate_rows(metrics_file: Path) -> Iterator[dict[str, str]]:
    """The whole rows as text; columns that an older version did not write are empty.

    Raises:
      RunError: no such file, or a column of another name.
    """
    try:
        text = metrics_file.read_text()
    except (OSError, ValueError) as error:
        raise RunError(f'{metrics_file} cannot be read: {error}') from error
    whole = text[: text.rfind('\n') + 1]  # a torn last row is none
    rows = csv.DictReader(io.StringIO(whole))
    if not set(rows.fieldnames or ()) <= set(COLUMNS):
        raise RunError(f'{metrics_file} has other columns than {", ".join(COLUMNS)}')
    blank = dict.fromkeys(COLUMNS, '')  # runs made before a column was added
    for row in rows:
        if None in row:
            raise RunError(f'{metrics_file} has other columns than {", ".join(COLUMNS)}')
        if None not in row.values():
            yield blank | row


def read_rows(metrics_file: Path) -> list[dict[str, str]]:
    """All of them at once: see `iterate_rows`."""
    return list(iterate_rows(metrics_file))


def read_table(metrics_file: Path, column: str) -> np.ndarray:
    """One column as `[B, E]`, members in the order of `Batch.members`; NaN where it is empty."""
    return tabulate(iterate_rows(metrics_file), names=(column,)).columns[column]


def cell_text(value: Any) -> str:
    """A cell of the CSV; None leaves it empty."""
    if value is None:
        return ''
    if isinstance(value, float | np.floating):
        return f'{float(value):.9g}'  # as many digits as float32 needs
    return str(int(value))


def _event_name(column: str) -> str:
    learning = (
        'q_loss', 'learn_seconds', 'nonfinite_targets', 'q_restores',
        'target_effective_sample_size', 'model_loss', 'model_holdout_loss', 'model_coverage',
        'model_error', 'model_restores', 'policy_loss', 'entropy', 'entropy_temperature', 'updates',
        'model_share',  # of a minibatch, from rollouts on the learned model
    'model_transitions',  # of the round, that were stored
    'policy_restores',
    )  # fmt: skip
    group = 'learn' if column in learning else 'train'
    if column.startswith('validation'):
        group = 'validation'
    return f'{group}/{column.removeprefix("validation_")}'
