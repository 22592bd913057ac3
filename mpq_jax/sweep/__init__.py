"""Sweeps: every point of a grid over many seeds, with as few compiled programs as there can be."""

from mpq_jax.sweep.grid import Cell, Grid, parse_sweeps
from mpq_jax.sweep.launch import run_sweep
from mpq_jax.sweep.results import summarize
from mpq_jax.sweep.sweep_directory import SweepDirectory

__all__ = ['Cell', 'Grid', 'SweepDirectory', 'parse_sweeps', 'run_sweep', 'summarize']
