"""A run or a sweep as one self-contained page."""

from mpq_jax.report.content import Report
from mpq_jax.report.run_report import read_directory, write_report

__all__ = ['Report', 'read_directory', 'write_report']
