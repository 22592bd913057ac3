"""What is on disk: the run directory, its checkpoints, rows, events, manifest and lock."""

from mpq_jax.runs.run_directory import RunDirectory

__all__ = ['RunDirectory']
