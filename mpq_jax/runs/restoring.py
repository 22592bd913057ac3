"""The latest state of a run that is there, to play it or to build on it."""

from typing import Any

from mpq_jax.base.validation import RunError
from mpq_jax.config import Batch
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from mpq_jax.runs.run_directory import RunDirectory


def latest(run: RunDirectory, shapes: Any, batch: Batch) -> tuple[Checkpoint, list[str]]:
    """The latest readable checkpoint, and messages about unreadable ones; nothing is touched.

    Args:
      run: a run directory.
      shapes: of its state, leading axis of members.
      batch: what it was made with.

    Raises:
      RunError: there is no readable one.
      ConfigError: it was made with another config.
    """
    missing = f'run_dir = {str(run.path)!r} holds no checkpoint: train it first'
    if not run.checkpoints.is_dir():
        raise RunError(missing)
    checkpointer = Checkpointer(run.checkpoints, read_only=True)
    try:
        saved, problems = checkpointer.restore(shapes, batch)
    finally:
        checkpointer.close()
    if saved is None:
        raise RunError(missing)
    return saved, problems
