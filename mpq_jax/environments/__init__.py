"""What has the true parameters: real systems, and an episode as one scan or step by step."""

from mpq_jax.environments.real_system import Measurement, RealSystem

__all__ = ['Measurement', 'RealSystem']
