"""A planner distilled into a policy: the run, its files for other programs, both held together."""

from mpq_jax.evaluation.distillation.distil import distil
from mpq_jax.evaluation.distillation.export import export_policy

__all__ = ['distil', 'export_policy']
