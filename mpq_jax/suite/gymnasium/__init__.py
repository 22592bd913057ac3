"""Tasks of ours for Gymnasium's MuJoCo environments (v5), which need the extra `gymnasium`.

Plant, constants and starts are those of the installed package; README.md says what is exact.
"""

from mpq_jax.suite.gymnasium.making import ARGUMENTS, IDS, make_task, names

__all__ = ['ARGUMENTS', 'IDS', 'make_task', 'names']
