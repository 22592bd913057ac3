"""What a run does on a file system that fills up or is read-only, as JSON; needs its own mounts.

As: unshare -rm python -m tests.full_disk DIRECTORY
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import mpq_jax
from mpq_jax.base.progress import Reporter, make_console
from mpq_jax.base.validation import RunError
from mpq_jax.runs.metrics import COLUMNS, MetricsWriter, read_rows
from tests.conftest import tiny_lq_config


class FillsDisk(Reporter):
    """Leaves no room after an episode."""

    def __init__(self, filler: Path, episode: int):
        super().__init__('run', 5, make_console())
        self._filler, self._episode = filler, episode

    def advance(self, done, *_):
        if done == self._episode:
            fill(self._filler)


def fill(path: Path) -> None:
    with open(path, 'wb', buffering=0) as file:
        for size in (4096, 1):
            while True:
                try:
                    file.write(b'x' * size)
                except OSError:
                    break


def mount(path: Path, *options: str) -> None:
    subprocess.run(['mount', '-t', 'tmpfs', *options, 'tmpfs', str(path)], check=True)


def message_of(function, *args, **kwargs) -> str:
    try:
        function(*args, **kwargs)
    except RunError as error:
        return str(error)
    return ''


def rows_written(path: Path) -> dict:
    """Rows of a CSV that outgrows the disk: two members an episode."""
    path.mkdir()
    writer = MetricsWriter(path / 'metrics.csv', path / 'events', 0, lambda text: None)
    fill(path / 'filler')
    row = dict.fromkeys(COLUMNS, 0.123456789) | {'variant': 0, 'seed': 0}
    message, episode = '', 0
    while not message:
        message = message_of(writer.write, [row | {'episode': episode, 'seed': s} for s in (0, 1)])
        episode += 1
    writer.close()
    torn = not (path / 'metrics.csv').read_text().endswith('\n')
    rows = len(read_rows(path / 'metrics.csv'))
    (path / 'filler').unlink()
    return {'message': message, 'torn': torn, 'rows': rows, 'whole': 2 * (episode - 1)}


def main(path: Path) -> None:
    config = tiny_lq_config(episodes=5, **{'training.checkpoint_interval': 1})
    mount(path, '-o', 'size=2m')
    found = {'csv': rows_written(path / 'csv')}
    run = path / 'run'
    filling = FillsDisk(path / 'filler', 3)  # the save of 2 may be under way
    found['full'] = message_of(mpq_jax.train, config, run, reporter=filling)
    found['checkpoints'] = sorted(os.listdir(run / 'checkpoints'))
    found['full at start'] = message_of(mpq_jax.train, config, path / 'other')
    (path / 'filler').unlink()
    mpq_jax.train(config, run, resume=True)
    columns = ('seed', 'episode', 'return', 'q_loss')
    found['rows'] = [[row[name] for name in columns] for row in read_rows(run / 'metrics.csv')]
    mount(path, '-o', 'remount,ro')
    longer = mpq_jax.set_fields(config, {'episodes': 6})
    found['read-only'] = message_of(mpq_jax.train, longer, run, resume=True)
    found['read-only at start'] = message_of(mpq_jax.train, config, path / 'third')
    print(json.dumps(found))


if __name__ == '__main__':
    main(Path(sys.argv[1]))
