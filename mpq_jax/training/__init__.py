"""A run: the thin loop, the batch over seeds and variants, and its compiled programs."""

from mpq_jax.base.interrupts import Stopped
from mpq_jax.training.trainer import train

__all__ = ['Stopped', 'train']
