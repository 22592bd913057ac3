"""One writer a run directory: a lock that the system takes back when its process ends."""

import contextlib
import datetime
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from mpq_jax.base.validation import RunError

FILE = 'run.lock'


@contextlib.contextmanager
def only_writer(directory: Path) -> Iterator[None]:
    """Holds a run directory for writing; readers need no lock.

    Where the system has no `fcntl` (Windows) nothing is held.

    Raises:
      RunError: another process holds it; it says which, where, and since when.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    with _opened(directory) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = file.read().strip() or 'another process'
            raise RunError(
                f'run_dir = {str(directory)!r} is being written by {holder}: wait for its end, or '
                'name another directory'
            ) from None
        now = datetime.datetime.now().astimezone().isoformat(timespec='seconds')
        file.seek(0)
        file.truncate()
        file.write(f'process {os.getpid()} on {socket.gethostname()} since {now}\n')
        file.flush()
        try:
            yield
        finally:
            os.ftruncate(file.fileno(), 0)


@contextlib.contextmanager
def _opened(directory: Path) -> Iterator:
    """Without emptying it: what the holder wrote is to be read."""
    try:
        descriptor = os.open(directory / FILE, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RunError(f'run_dir = {str(directory)!r} cannot be written: {error}') from error
    with os.fdopen(descriptor, 'r+') as file:
        yield file
