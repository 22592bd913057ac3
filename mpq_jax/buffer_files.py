"""The replay buffer on disk: each checkpoint adds the transitions that are new since the last.

A file is never changed once a checkpoint names it. Now and then a file holds the whole buffer, so
that a checkpoint names no more than `_MOST_FILES`.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mpq_jax.replay_buffer import ReplayBuffer, Transition
from mpq_jax.run_directory import write_arrays

_MOST_FILES = 50


class Part(NamedTuple):
    """Transitions that go into one file, on the host."""

    before: list[dict[str, Any]]  # entries of the files that hold the older ones
    entry: dict[str, Any]  # 'file'; 'start' and 'count' `[B]`: their places in the ring
    arrays: dict[str, np.ndarray]  # leaves `[B, T, ...]`, filled up to 'count'


class _Written(NamedTuple):
    entries: list[dict[str, Any]]
    position: np.ndarray  # [B]
    added: np.ndarray  # [B], transitions ever stored


class BufferFiles:
    """The files of one run's buffer."""

    def __init__(self, directory: Path):
        self._directory = directory
        self._written: _Written | None = None

    def part(self, episode: int, buffer: ReplayBuffer, counters: dict[str, list[int]]) -> Part:
        """Copies what is new to the host.

        Args:
          episode: the checkpoint's.
          buffer: leaves `[B, ...]`.
          counters: 'env_steps' `[B]` counts the transitions ever stored.
        """
        capacity = buffer.storage.cost.shape[1]
        position, size = np.asarray(buffer.position), np.asarray(buffer.size)
        added = np.asarray(counters['env_steps'])
        last, before = self._written, []
        start, count = (position - size) % capacity, size
        if last is not None and len(last.entries) < _MOST_FILES:
            new = added - last.added
            follows = ((last.position + new) % capacity == position).all()
            if follows and (new >= 0).all() and (new < capacity).all():
                start, count, before = last.position, new, last.entries
        rows = 1 << int(max(count.max(), 1) - 1).bit_length()  # few shapes: each one compiles
        places = (start[:, None] + np.arange(min(rows, capacity))) % capacity
        taken = jax.device_get(_take(buffer.storage, places))
        name = f'{"new" if before else "all"}_{episode}_{os.urandom(4).hex()}.npz'
        entry = {'file': name, 'start': start.tolist(), 'count': count.tolist()}
        self._written = _Written([*before, entry], position.copy(), added.copy())
        longest = int(count.max())
        arrays = {name: leaf[:, :longest] for name, leaf in _leaves(taken).items()}
        return Part(before, entry, arrays)

    def write(self, part: Part) -> list[dict[str, Any]]:
        """Writes a part; returns the entries that a checkpoint must name. Raises OSError."""
        self._directory.mkdir(exist_ok=True)
        write_arrays(self._directory / part.entry['file'], part.arrays)
        return [*part.before, part.entry]

    def read(self, entries: list[dict[str, Any]], template: Transition) -> Transition:
        """The buffer's storage from the files that a checkpoint names.

        Raises:
          OSError, ValueError, BadZipFile: one of them is missing or damaged.
        """
        storage = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), template)
        capacity = storage.cost.shape[1]
        for entry in entries:
            with np.load(self._directory / entry['file'], allow_pickle=False) as file:
                for name, leaf in _leaves(storage).items():
                    new = file[name]
                    for b, (start, count) in enumerate(
                        zip(entry['start'], entry['count'], strict=True)
                    ):
                        leaf[b, (start + np.arange(count)) % capacity] = new[b, :count]
        return jax.tree.map(jax.numpy.asarray, storage)

    def continue_from(
        self, entries: list[dict[str, Any]], buffer: ReplayBuffer, counters: dict[str, list[int]]
    ) -> None:
        """What follows is new after a restored checkpoint."""
        added = np.asarray(counters['env_steps'])
        self._written = _Written(entries, np.array(buffer.position), added)

    def remove_all_but(self, names: set[str]) -> None:
        for file in self._directory.glob('*.npz*'):
            if file.name not in names:
                file.unlink(missing_ok=True)


@jax.jit
def _take(storage: Transition, places: jax.Array) -> Transition:
    return jax.vmap(lambda member, rows: jax.tree.map(lambda x: x[rows], member))(storage, places)


def _leaves(tree: Transition) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator='.'): leaf for path, leaf in leaves}
