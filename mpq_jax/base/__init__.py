"""What everything stands on: errors and checks, keys, compiling, files, statistics, progress."""

from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.base.interrupts import Stopped
from mpq_jax.base.statistics import confidence_interval, interquartile_mean
from mpq_jax.base.validation import ConfigError, NothingLearnedError, RunError, TaskError

__all__ = [
    'CompiledFunction',
    'ConfigError',
    'NothingLearnedError',
    'RunError',
    'Stopped',
    'TaskError',
    'compile',
    'confidence_interval',
    'interquartile_mean',
    'map_in_chunks',
]
