"""Physics written out number by number: an array program becomes one of scalars (README.md)."""

from mpq_jax.dynamics.straight_line.choice import Form, written_out
from mpq_jax.dynamics.straight_line.transform import StraightLine, straight_line

__all__ = ['Form', 'StraightLine', 'straight_line', 'written_out']
