"""MJX on MuJoCo Warp: buffers sized for every batch; what does not fit in them is an error."""

from mpq_jax.dynamics.warp.buffers import Buffers, buffers_for
from mpq_jax.dynamics.warp.physics import After, WarpPhysics

__all__ = ['After', 'Buffers', 'WarpPhysics', 'buffers_for']
