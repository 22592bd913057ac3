"""What a run is held against: no control, plain MPPI, and the paper's figures and tables."""

from mpq_jax.comparison.baselines import finish, run_baselines

__all__ = [
    'finish',
    'run_baselines',
]
