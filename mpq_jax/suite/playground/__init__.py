"""The dm_control suite of MuJoCo Playground as tasks: `--task=playground:CartpoleSwingup`."""

from mpq_jax.suite.playground.loading import names
from mpq_jax.suite.playground.task import make_task

__all__ = ['make_task', 'names']
