"""Checkpoints with Orbax: all that shapes a run's future, whole or not there."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from mpq_jax import overrides
from mpq_jax.config import Config
from mpq_jax.programs import SeedState
from mpq_jax.validation import ConfigError, RunError

# Fields that a continued run may change: they do not shape what was computed.
MAY_CHANGE = ('episodes', 'training.')


class Checkpoint(NamedTuple):
    episode: int  # episodes completed
    state: SeedState  # leading axis [S]
    counters: dict[str, list[int]]  # env, validation and model steps a seed
    config: Config


class Checkpointer:
    """Saves in the background, keeps the latest few, and restores past broken ones."""

    def __init__(self, directory: Path, keep: int = 2):
        logging.getLogger('absl').setLevel(logging.ERROR)
        options = ocp.CheckpointManagerOptions(
            max_to_keep=keep, step_prefix='episode', cleanup_tmp_directories=True
        )
        self._directory = directory
        self._manager = ocp.CheckpointManager(
            directory.absolute(), options=options, item_names=('state', 'record')
        )

    def save(self, checkpoint: Checkpoint) -> None:
        """Starts writing; the arrays are copied first, so they may be donated at once."""
        record = {'counters': checkpoint.counters, 'config': overrides.to_dict(checkpoint.config)}
        self._manager.save(
            checkpoint.episode,
            args=ocp.args.Composite(
                state=ocp.args.StandardSave(_to_saved(checkpoint.state)),
                record=ocp.args.JsonSave(record),
            ),
        )

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
        steps = sorted(self._manager.all_steps(), reverse=True)
        for step in steps:
            try:
                return self._read(step, template, config), problems
            except _Mismatch as mismatch:
                raise mismatch.error from None
            except Exception as error:  # whatever Orbax makes of a damaged directory
                reason = str(error).strip().splitlines() or ['']
                problems.append(
                    f'checkpoint episode_{step} in {self._directory} is unreadable and was '
                    f'skipped ({type(error).__name__}: {reason[0][:200]})'
                )
        if steps:
            raise RunError('no checkpoint can be read:\n  ' + '\n  '.join(problems))
        return None, problems

    def wait(self) -> None:
        """Until the last save is on disk."""
        self._manager.wait_until_finished()

    def close(self) -> None:
        self._manager.close()

    def _read(self, step: int, template: SeedState, config: Config) -> Checkpoint:
        only = ocp.args.Composite(record=ocp.args.JsonRestore())
        record = self._manager.restore(step, args=only)['record']
        made_with = overrides.from_dict(record['config'])
        try:
            check_matches(config, made_with)
        except ConfigError as error:
            raise _Mismatch(error) from error
        shapes = jax.eval_shape(_to_saved, template)
        only = ocp.args.Composite(state=ocp.args.StandardRestore(shapes))
        state = _from_saved(self._manager.restore(step, args=only)['state'], template)
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


def _to_saved(state: SeedState) -> dict[str, jax.Array]:
    """What Orbax can hold: leaves by path, typed keys as numbers, empty arrays left out.

    Copies, because the originals are donated to the next program while Orbax still writes.
    """
    leaves = jax.tree_util.tree_leaves_with_path(state)
    plain = {_name(path): jax.random.key_data(x) if _is_key(x) else x for path, x in leaves}
    return {name: jnp.copy(leaf) for name, leaf in plain.items() if leaf.size}


def _from_saved(saved: dict[str, jax.Array], template: SeedState) -> SeedState:
    def leaf(path, like):
        if not like.size:
            return jnp.zeros(like.shape, like.dtype)
        return jax.random.wrap_key_data(saved[_name(path)]) if _is_key(like) else saved[_name(path)]

    return jax.tree_util.tree_map_with_path(leaf, template)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator='.')
