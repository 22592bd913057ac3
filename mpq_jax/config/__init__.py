"""What a run is made of: frozen dataclasses of numbers and choices, overrides, names for tables."""

from mpq_jax.config.algorithm_config import LearnerConfig, PlannerConfig
from mpq_jax.config.overrides import set_fields
from mpq_jax.config.run_config import AGENT_NAMES, Config, PhysicsConfig, TrainingConfig

__all__ = [
    'AGENT_NAMES',
    'Config',
    'LearnerConfig',
    'PhysicsConfig',
    'PlannerConfig',
    'TrainingConfig',
    'set_fields',
]
