"""Somebody else's environments as real systems; each needs an extra of its own."""

from mpq_jax.environments.adaptors.environment import Environment, Place
from mpq_jax.environments.adaptors.environment_system import EnvironmentSystem

__all__ = ['Environment', 'EnvironmentSystem', 'Place']
