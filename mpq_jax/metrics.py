"""metrics.csv and TensorBoard events: one row per member of the batch and episode."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter

from mpq_jax.run_directory import write_atomically
from mpq_jax.validation import RunError

# Steps and model steps are cumulative; seconds are of the whole batch.
COLUMNS = (
    'variant',  # which of the config's variants; 0 where it has none
    'seed',
    'episode',
    'return',
    'success',  # at some instant; these three are empty where the task has none
    'success_at_end',
    'success_share',
    'q_loss',  # empty where nothing was learned
    'env_steps',
    'validation_env_steps',
    'model_steps',
    'nonfinite_fraction',
    'effective_sample_size',
    'collect_seconds',
    'learn_seconds',
    'validation_return',  # empty between validations
    'nonfinite_steps',
    'nonfinite_targets',
)
WALL_TIME_COLUMNS = ('collect_seconds', 'learn_seconds')


class MetricsWriter:
    """Appends rows to a CSV, and the means over seeds to TensorBoard events."""

    def __init__(self, metrics_file: Path, events: Path, first_episode: int):
        """Rows from `first_episode` on, left by a run that was killed, are cut."""
        self._file = metrics_file
        if metrics_file.exists():
            kept = [row for row in read_rows(metrics_file) if int(row['episode']) < first_episode]
        else:
            kept = []
        lines = [','.join(COLUMNS), *(','.join(row[name] for name in COLUMNS) for row in kept)]
        write_atomically(metrics_file, '\n'.join(lines) + '\n')
        self._stream = open(metrics_file, 'a', newline='')  # noqa: SIM115
        self._events = SummaryWriter(str(events), purge_step=first_episode)

    def write(self, rows: list[dict[str, Any]]) -> None:
        """Rows of one episode, one a member; missing columns stay empty."""
        writer = csv.writer(self._stream, lineterminator='\n')
        for row in rows:
            writer.writerow([_text(row.get(name)) for name in COLUMNS])
        self._stream.flush()
        variants = sorted({row['variant'] for row in rows})
        for variant in variants:
            suffix = f'/variant_{variant}' if len(variants) > 1 else ''
            self._write_events([row for row in rows if row['variant'] == variant], suffix)

    def _write_events(self, rows: list[dict[str, Any]], suffix: str) -> None:
        """Means over the seeds of one variant."""
        for name in COLUMNS[3:]:
            values = [float(row[name]) for row in rows if row.get(name) is not None]
            if values:
                tag = _event_name(name) + suffix
                self._events.add_scalar(tag, np.mean(values), rows[0]['episode'])

    def sync(self) -> None:
        """Makes the rows outlive a crash of the machine."""
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()
        self._events.close()


def read_rows(metrics_file: Path) -> list[dict[str, str]]:
    """The rows as text; columns that an older version did not write are empty.

    Raises:
      RunError: no such file, or a column of another name.
    """
    try:
        with open(metrics_file, newline='') as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise RunError(f'{metrics_file} cannot be read: {error}') from error
    if rows and not set(rows[0]) <= set(COLUMNS):
        raise RunError(f'{metrics_file} has other columns than {", ".join(COLUMNS)}')
    blank = dict.fromkeys(COLUMNS, '')  # runs made before a column was added
    return [blank | row for row in rows if None not in row.values()]


def read_table(metrics_file: Path, column: str) -> np.ndarray:
    """One column as `[B, E]`, members in the order of `Config.members`; NaN where it is empty."""
    rows = read_rows(metrics_file)
    members = sorted({_member(row) for row in rows})
    episodes = max((int(row['episode']) for row in rows), default=-1) + 1
    table = np.full((len(members), episodes), np.nan)
    for row in rows:
        if row[column]:
            table[members.index(_member(row)), int(row['episode'])] = float(row[column])
    return table


def _member(row: dict[str, str]) -> tuple[int, int]:
    return int(row['variant'] or 0), int(row['seed'])


def _text(value: Any) -> str:
    if value is None:
        return ''
    if isinstance(value, float | np.floating):
        return f'{float(value):.9g}'  # as many digits as float32 needs
    return str(int(value))


def _event_name(column: str) -> str:
    groups = {'q_loss': 'learn', 'learn_seconds': 'learn', 'nonfinite_targets': 'learn'}
    group = 'validation' if column.startswith('validation') else groups.get(column, 'train')
    return f'{group}/{column.removeprefix("validation_")}'
