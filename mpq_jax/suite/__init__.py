"""The built-in tasks, one module and one MJCF each, with their settings, and the presets."""

from mpq_jax.suite.presets import baseline, no_control, preset

__all__ = ['baseline', 'no_control', 'preset']
