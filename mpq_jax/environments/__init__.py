"""What has the true parameters: real systems, and an episode as one scan or step by step."""

from mpq_jax.environments.real_system import EpisodeEnded, Measurement, RealSystem
from mpq_jax.environments.registry import register_real_system

__all__ = ['EpisodeEnded', 'Measurement', 'RealSystem', 'register_real_system']
