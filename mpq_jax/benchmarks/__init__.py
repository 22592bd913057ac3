"""What throughput is measured on, and against: cases, other implementations, paired timing."""

from mpq_jax.benchmarks.measure import Timing, take_turns

__all__ = [
    'Timing',
    'take_turns',
]
