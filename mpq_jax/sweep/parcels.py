"""Run directories that travel between machines which share no disk."""

import io
import shutil
import tarfile
from pathlib import Path

from mpq_jax.base.validation import RunError
from mpq_jax.runs.checkpoint import latest_episode
from mpq_jax.runs.lock import only_writer
from mpq_jax.runs.run_directory import RunDirectory


def pack(run: RunDirectory) -> bytes:
    """A compressed tar of everything in a run directory."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode='w:gz') as archive:
        archive.add(run.path, arcname='.')
    return stream.getvalue()


def unpack(content: bytes, path: Path) -> RunDirectory:
    """Writes what `pack` gave into a directory."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(path, filter='data')
    return RunDirectory(path)


def take(content: bytes, run: RunDirectory) -> None:
    """Puts a run that arrives into its place; one that is there stays where it is further.

    Raises:
      RunError: it cannot be put there, and where it lies until `put_back`.
    """
    arriving, arrived = _beside(run, 'arriving'), _beside(run, 'arrived')
    for earlier in (arriving, arrived):
        shutil.rmtree(earlier, ignore_errors=True)
    unpack(content, arriving).path.rename(arrived)  # whole from here on
    try:
        _place(RunDirectory(arrived), run)
    except (OSError, RunError) as error:
        raise RunError(f'it came back complete and lies in {arrived}: {error}') from error


def _place(arrived: RunDirectory, run: RunDirectory) -> None:
    if not run.path.exists():
        arrived.path.rename(run.path)
    elif latest_episode(run.checkpoints) > latest_episode(arrived.checkpoints):
        shutil.rmtree(arrived.path)
    else:
        with only_writer(run.path):
            run.path.rename(_beside(run, 'replaced'))
            arrived.path.rename(run.path)
        shutil.rmtree(_beside(run, 'replaced'))


def put_back(run: RunDirectory) -> None:
    """What a killed process left, or could not put into its place, comes there."""
    replaced, arrived = _beside(run, 'replaced'), _beside(run, 'arrived')
    if replaced.exists() and not run.path.exists():
        replaced.rename(run.path)
    for rest in (replaced, _beside(run, 'arriving')):
        shutil.rmtree(rest, ignore_errors=True)
    if arrived.exists():
        _place(RunDirectory(arrived), run)


def _beside(run: RunDirectory, word: str) -> Path:
    return run.path.with_name(f'.{run.path.name}.{word}')
