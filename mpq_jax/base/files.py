"""Files that are whole or not there."""

import contextlib
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path, suffix: str = '.tmp') -> Iterator[Path]:
    """A name beside `path` to write to, which takes its place at the end: on disk, or not at all.

    No other process has it, on this host or another that shares the disk.
    """
    whose = f'{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}'
    temporary = path.with_name(f'{path.name}.{whose}{suffix}')
    try:
        yield temporary
        with open(temporary, 'rb+') as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Either the whole new content stands in the file, or the old one does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_leftovers(directory: Path) -> None:
    """What processes of this host left in a directory, or below it, that were killed in writing."""
    for path in directory.rglob('*.tmp*'):
        whose = re.search(r'\.(\d+)\.[0-9a-f]{8}\.tmp[^/]*$', path.name)
        here = f'.{socket.gethostname()}.' in path.name
        if whose and here and not _is_alive(int(whose[1])):
            path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _sync_directory(path: Path) -> None:
    """So that the new name outlives a loss of power; not every file system can."""
    with contextlib.suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
