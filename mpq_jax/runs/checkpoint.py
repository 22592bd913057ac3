"""Checkpoints with Orbax: all that shapes a run's future, whole or not there.

Of the replay buffer only the filled part is written.
"""

import contextlib
import errno
import functools
import hashlib
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config import Batch, Config
from mpq_jax.runs.continuing import check_matches
from mpq_jax.runs.saved_state import (
    filled_part,
    from_older,
    from_saved,
    is_storage,
    leaves_in,
    saved_leaves,
    saved_shape,
    to_host,
    with_older,
)

_PREFIX = 'episode'
_LOOKS = 5  # of a reader beside a run that keeps few checkpoints and replaces them
_ORBAX = str(Path(ocp.__file__).parent)


def _is_not_orbax(record: logging.LogRecord) -> bool:
    """Of the logger that it shares with others."""
    return not record.pathname.startswith(_ORBAX)


class Checkpoint(NamedTuple):
    episode: int  # episodes completed
    state: Any  # leading axis [S]
    counters: dict[str, list[int]]  # env, validation and model steps a seed
    batch: Batch

    @property
    def is_gone(self) -> bool:
        """Whether a program took over its arrays: only the result of that program holds them."""
        leaves = jax.tree.leaves(self.state)
        return any(isinstance(leaf, jax.Array) and leaf.is_deleted() for leaf in leaves)


Found = tuple[Checkpoint | None, list[str]]  # and what is wrong with others


class Checkpointer:
    """Saves in the background, keeps the latest few, and restores past broken ones."""

    def __init__(self, directory: Path, keep: int = 2, read_only: bool = False):
        """With `read_only` nothing in the directory is touched: a run may be writing there."""
        self._directory, self._read_only = directory, read_only
        self._begun = self._ended = 0.0  # the last save
        self._quiet = functools.partial(_is_not_orbax)  # its errors are raised, here
        logging.getLogger('absl').addFilter(self._quiet)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=None if read_only else keep,
            step_prefix=_PREFIX,
            cleanup_tmp_directories=not read_only,
            read_only=read_only,
            async_options=ocp.AsyncOptions(post_finalization_callback=self._saved),
        )
        self._manager = self._looking(lambda: ocp.CheckpointManager(
            directory.absolute(), options=options, item_names=('state', 'record')
        ))  # fmt: skip

    def _looking(self, look: Callable) -> Any:
        """A reader beside a run that replaces what it looks at looks again."""
        for _ in range(_LOOKS - 1 if self._read_only else 0):
            with contextlib.suppress(RunError, FileNotFoundError):
                return look()
        return look()

    def save(self, checkpoint: Checkpoint) -> None:
        """Starts writing; the arrays are copied first, so they may be donated at once.

        Padding of the batch (rows beyond its members) is left out.

        Raises:
          RunError: this or the save before it could not be written.
        """
        self._begun, self._ended = time.monotonic(), 0.0
        size, filled = len(checkpoint.batch.members), filled_part(checkpoint.state.buffer)
        record = {
            'counters': checkpoint.counters,
            'config': checkpoint.batch.to_dict(),
            'filled': filled,
        }
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(
                {
                    name: to_host(leaf, size, filled if is_storage(name) else None)
                    for name, leaf in saved_leaves(checkpoint.state).items()
                }
            ),
            record=ocp.args.JsonSave(record | {'digest': _digest(record)}),
        )
        with self._writing():
            self._manager.save(checkpoint.episode, args=arguments)

    @property
    def save_seconds(self) -> float:
        """That the last save took, in the background as well; so far, while it goes on.

        Raises:
          RunError: it could not be written.
        """
        with self._writing():
            self._manager.check_for_errors()
        return (self._ended or time.monotonic()) - self._begun

    def _saved(self) -> None:
        self._ended = time.monotonic()

    def wait(self) -> None:
        """Until the last save is on disk. Raises RunError where it could not be written."""
        with self._writing():
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Waits, and leaves the error of a save that nobody waited for to the next resume."""
        with contextlib.suppress(Exception):
            self._manager.close()
        logging.getLogger('absl').removeFilter(self._quiet)

    @contextlib.contextmanager
    def _writing(self):
        """Whatever Orbax and its storage make of a disk that takes no more."""
        try:
            yield
        except Exception as error:
            raise RunError(f'{self._directory} cannot be written: {_write_error(error)}') from error

    def restore(self, template: Any, runs: Config | Batch) -> Found:
        """The latest checkpoint that can be read, and a message for each that could not.

        Args:
          template: arrays or shapes of the state, leading axis [S].
          runs: what the checkpoint must have been made with, but for what may change.

        Returns:
          None in place of a checkpoint when there is none at all.

        Raises:
          RunError: there are checkpoints and none can be read.
          ConfigError: it was made with another config.
        """
        batch = Batch.of(runs)
        return self._looking(lambda: self._latest(template, batch))

    def _latest(self, template: Any, batch: Batch) -> Found:
        problems: list[str] = []
        if self._read_only:
            self._manager.reload()
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                return self._read(step, template, batch), problems
            except _Mismatch as mismatch:
                raise mismatch.error from None
            except Exception as error:  # whatever Orbax makes of a damaged directory
                problems.append(
                    f'checkpoint {_PREFIX}_{step} in {self._directory} is unreadable and was '
                    f'skipped ({_first_line(error)})'
                )
        if steps:
            raise RunError('no checkpoint can be read:\n  ' + '\n  '.join(problems))
        return None, problems

    def _read(self, step: int, template: Any, batch: Batch) -> Checkpoint:
        only = ocp.args.Composite(record=ocp.args.JsonRestore())
        record = self._manager.restore(step, args=only)['record']
        if record.pop('digest', None) not in (None, _digest(record)):  # older ones have none
            raise ValueError('its record is damaged')
        try:
            made_with = Batch.from_dict(record['config'], (batch.config.planner.name,))
            check_matches(batch, made_with)
        except ConfigError as error:
            raise _Mismatch(error) from error
        filled = _checked(record, len(made_with.members), template.buffer)
        here = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])  # wherever it was made
        shapes = {
            name: jax.ShapeDtypeStruct(saved_shape(name, x, filled), x.dtype, sharding=here)
            for name, x in jax.eval_shape(saved_leaves, template).items()
        }
        wanted = with_older(shapes, leaves_in(self._directory / f'{_PREFIX}_{step}' / 'state'))
        only = ocp.args.Composite(state=ocp.args.StandardRestore(wanted))
        saved = from_older(self._manager.restore(step, args=only)['state'], shapes)
        state = from_saved(saved, template)
        return Checkpoint(step, state, record['counters'], made_with)


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def latest_episode(directory: Path) -> int:
    """Of the checkpoints that are whole; 0 where there is none."""
    names = (path.name.removeprefix(f'{_PREFIX}_') for path in directory.glob(f'{_PREFIX}_*'))
    return max((int(name) for name in names if name.isdecimal()), default=0)


class _Mismatch(Exception):
    """A readable checkpoint of another config: no reason to try an older one."""

    def __init__(self, error: ConfigError):
        self.error = error


def _checked(record: dict[str, Any], members: int, buffer: Any) -> int:
    """The filled part of the buffer. Raises ValueError where the record is none of ours."""
    for name, counts in record['counters'].items():
        whole = all(type(count) is int and count >= 0 for count in counts)
        if not whole or len(counts) != members:
            raise ValueError(f'counters.{name} must be {members} counts')
    filled, room = record['filled'], 0 if buffer == () else buffer.storage.cost.shape[1]
    if type(filled) is not int or not 0 <= filled <= room:
        raise ValueError(f'filled = {filled!r} must be from 0 to {room}')
    return filled


def _write_error(error: Exception) -> str:
    """That the disk is full is said in the system's words: storage libraries have their own."""
    said, full = _first_line(error), os.strerror(errno.ENOSPC)
    exhausted = any(words in str(error) for words in (full, 'RESOURCE_EXHAUSTED'))
    return f'{said} ({full})' if exhausted and full not in said else said


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or ['']
    return f'{type(error).__name__}: {lines[0][:600]}'
