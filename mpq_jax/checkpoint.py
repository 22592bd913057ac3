"""Checkpoints: all that shapes a run's future, whole or not there.

`checkpoints/episode_N/` holds `state.npz` (everything but the replay buffer's transitions) and
`record.json`, which names the files of `buffer/` that hold those.
"""

import json
import os
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mpq_jax import overrides
from mpq_jax.buffer_files import BufferFiles
from mpq_jax.config import Config
from mpq_jax.programs import SeedState
from mpq_jax.run_directory import sync_directory, write_arrays, write_atomically
from mpq_jax.validation import ConfigError, RunError

# Fields that a continued run may change: they do not shape what was computed.
MAY_CHANGE = ('episodes', 'training.')
_PREFIX = 'episode_'


class Checkpoint(NamedTuple):
    episode: int  # episodes completed
    state: SeedState  # leading axis [S]
    counters: dict[str, list[int]]  # env, validation and model steps a seed
    config: Config


class Checkpointer:
    """Saves in the background, keeps the latest few, and restores past broken ones."""

    def __init__(self, directory: Path, keep: int = 2):
        self._directory, self._keep = directory, keep
        self._buffer = BufferFiles(directory.parent / 'buffer')
        self._pool = ThreadPoolExecutor(1, thread_name_prefix='checkpoint')
        self._writing: Future | None = None

    def save(self, checkpoint: Checkpoint) -> None:
        """Starts writing; the arrays are copied first, so they may be donated at once.

        Raises:
          RunError: this or the save before it could not be written.
        """
        self.wait()
        state, part = checkpoint.state, None
        arrays = {}
        if state.buffer != ():
            part = self._buffer.part(checkpoint.episode, state.buffer, checkpoint.counters)
            arrays = _to_saved(state._replace(buffer=state.buffer._replace(storage=())))
        else:
            arrays = _to_saved(state)
        record = {'counters': checkpoint.counters, 'config': overrides.to_dict(checkpoint.config)}
        self._writing = self._pool.submit(self._write, checkpoint.episode, arrays, record, part)

    def wait(self) -> None:
        """Until the last save is on disk. Raises RunError where it could not be written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Waits, and leaves the error of a save that nobody waited for to the next resume."""
        self._pool.shutdown(wait=True)

    def restore(self, template: SeedState, config: Config) -> tuple[Checkpoint | None, list[str]]:
        """The latest checkpoint that can be read, and a message for each that could not.

        Args:
          template: arrays or shapes of the state, leading axis [S].
          config: what the checkpoint must have been made with, but for MAY_CHANGE.

        Returns:
          None in place of a checkpoint when there is none at all.

        Raises:
          RunError: there are checkpoints and none can be read.
          ConfigError: it was made with another config.
        """
        problems: list[str] = []
        steps = self._steps()
        for step in steps:
            try:
                return self._read(step, template, config), problems
            except _Mismatch as mismatch:
                raise mismatch.error from None
            except Exception as error:  # whatever a damaged file makes of its reader
                reason = str(error).strip().splitlines() or ['']
                problems.append(
                    f'checkpoint {_PREFIX}{step} in {self._directory} is unreadable and was '
                    f'skipped ({type(error).__name__}: {reason[0][:200]})'
                )
        if steps:
            raise RunError('no checkpoint can be read:\n  ' + '\n  '.join(problems))
        return None, problems

    def _steps(self) -> list[int]:
        """Episodes of the checkpoints there, the latest first."""
        if not self._directory.is_dir():
            return []
        names = [path.name.removeprefix(_PREFIX) for path in self._directory.glob(f'{_PREFIX}*')]
        return sorted((int(name) for name in names if name.isdecimal()), reverse=True)

    def _path(self, step: int) -> Path:
        return self._directory / f'{_PREFIX}{step}'

    def _write(self, step: int, arrays: dict, record: dict, part) -> None:
        """Beside its place first; there by one rename, when everything is on disk."""
        temporary = self._directory / f'tmp.{os.getpid()}'
        try:
            self._directory.mkdir(exist_ok=True)
            for left in self._directory.glob('tmp.*'):
                shutil.rmtree(left)
            temporary.mkdir()
            record['buffer'] = self._buffer.write(part) if part is not None else []
            write_arrays(temporary / 'state.npz', arrays)
            write_atomically(temporary / 'record.json', json.dumps(record))
            if self._path(step).exists():  # skipped when it was read, or of a longer run
                shutil.rmtree(self._path(step))
            temporary.rename(self._path(step))
            sync_directory(self._directory)
        except OSError as error:
            shutil.rmtree(temporary, ignore_errors=True)
            raise RunError(
                f'checkpoint {self._path(step)} cannot be written: {error} (the one before stands)'
            ) from error
        self._remove_old(step)

    def _remove_old(self, latest: int) -> None:
        kept = [step for step in self._steps() if step <= latest][: self._keep]
        for step in self._steps():
            if step not in kept:
                shutil.rmtree(self._path(step), ignore_errors=True)
        self._buffer.remove_all_but({name for step in kept for name in self._buffer_names(step)})

    def _buffer_names(self, step: int) -> list[str]:
        try:
            record = json.loads((self._path(step) / 'record.json').read_text())
            return [entry['file'] for entry in record['buffer']]
        except (OSError, ValueError, KeyError):
            return []

    def _read(self, step: int, template: SeedState, config: Config) -> Checkpoint:
        record = json.loads((self._path(step) / 'record.json').read_text())
        made_with = overrides.from_dict(record['config'])
        try:
            check_matches(config, made_with)
        except ConfigError as error:
            raise _Mismatch(error) from error
        with np.load(self._path(step) / 'state.npz', allow_pickle=False) as file:
            saved = {name: file[name] for name in file.files}
        if template.buffer == ():
            return Checkpoint(step, _from_saved(saved, template), record['counters'], made_with)
        bare = template._replace(buffer=template.buffer._replace(storage=()))
        state = _from_saved(saved, bare)
        storage = self._buffer.read(record['buffer'], template.buffer.storage)
        state = state._replace(buffer=state.buffer._replace(storage=storage))
        self._buffer.continue_from(record['buffer'], state.buffer, record['counters'])
        return Checkpoint(step, state, record['counters'], made_with)


class _Mismatch(Exception):
    """A readable checkpoint of another config: no reason to try an older one."""

    def __init__(self, error: ConfigError):
        self.error = error


def check_matches(run: Config, checkpoint: Config) -> None:
    """Raises ConfigError naming the fields in which a checkpoint was made differently."""
    wrong = {
        name: pair
        for name, pair in overrides.differences(run, checkpoint).items()
        if not name.startswith(MAY_CHANGE)
    }
    if wrong:
        name, (value, before) = next(iter(wrong.items()))
        others = f' (so do: {", ".join(list(wrong)[1:])})' if len(wrong) > 1 else ''
        raise ConfigError(
            name, value, f'{before!r}, with which the checkpoint was made{others}; '
            'only episodes and training.* may change when a run is continued'
        )  # fmt: skip


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_saved(state: SeedState) -> dict[str, np.ndarray]:
    """Leaves by path, typed keys as numbers; copies on the host."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    plain = {_name(path): jax.random.key_data(x) if _is_key(x) else x for path, x in leaves}
    return {name: np.array(leaf) for name, leaf in plain.items()}


def _from_saved(saved: dict[str, np.ndarray], template: SeedState) -> SeedState:
    """Raises ValueError where shape or type is another than the template's."""

    def leaf(path, like):
        name = _name(path)
        if name not in saved:
            raise ValueError(f'{name} is missing')
        if _is_key(like):
            return jax.random.wrap_key_data(jax.numpy.asarray(saved[name]))
        if (saved[name].shape, saved[name].dtype) != (like.shape, like.dtype):
            raise ValueError(f'{name} is {saved[name].dtype}{saved[name].shape}, not {like}')
        return jax.numpy.asarray(saved[name])

    return jax.tree_util.tree_map_with_path(leaf, template)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator='.')
