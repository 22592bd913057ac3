"""What fields were called before: configs of older runs are read as they were meant."""

from collections.abc import Mapping
from typing import Any

from mpq_jax.base.validation import ConfigError

VERSION = 3

# Version 1 -> 2: the planner's belief and how much is computed at once have rooms of their own.
RENAMED = {
    'planner.num_model_draws': 'belief.num_draws',
    'planner.redraw': 'belief.redraw',
    'planner.bank_size': 'belief.bank_size',
    'planner.model_bias': 'belief.bias',
    'planner.model_spread': 'belief.spread',
    'planner.sample_chunk': 'execution.sample_chunk',
    'learner.target_chunk': 'execution.target_chunk',
    'training.memory_gib': 'execution.memory_gib',
}
# Fields that are none any more, and what serves instead.
GONE = {'variants': '`mpq sweep` runs values beside each other, `mpq_jax.Batch` does in Python'}


def renamed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted fields as this version calls them."""
    return {RENAMED.get(name, name): value for name, value in fields.items()}


def migrated(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted fields of a config of this version or an older one.

    Raises:
      ConfigError: it was written by a newer mpq_jax.
    """
    version = fields.get('version', 1)
    if version not in range(1, VERSION + 1):
        raise ConfigError('version', version, f'at most {VERSION}, what this mpq_jax knows')
    now = renamed({name: value for name, value in fields.items() if name != 'version'})
    if version < 3:  # what was begun on arrays goes on there, to the bit
        now = {f'{which}_physics.straight_line': 'off' for which in ('planner', 'real')} | now
    return now
