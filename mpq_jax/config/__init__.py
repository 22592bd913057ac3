"""What a run is made of: frozen dataclasses of numbers and choices, overrides, names for tables."""

from mpq_jax.config.batch import Batch
from mpq_jax.config.dmd_config import CEM, DMDConfig
from mpq_jax.config.fields import set_fields
from mpq_jax.config.learner_config import LearnerConfig
from mpq_jax.config.planner_config import (
    PREDICTIVE_SAMPLING,
    RANDOM_SHOOTING,
    BasePlannerConfig,
    BeliefConfig,
    NoiseConfig,
    PlannerConfig,
    static,
)
from mpq_jax.config.planners import register_planner
from mpq_jax.config.run_config import (
    Config,
    ExecutionConfig,
    PhysicsConfig,
    TrainingConfig,
)

__all__ = [
    'CEM',
    'PREDICTIVE_SAMPLING',
    'RANDOM_SHOOTING',
    'BasePlannerConfig',
    'Batch',
    'BeliefConfig',
    'Config',
    'DMDConfig',
    'ExecutionConfig',
    'LearnerConfig',
    'NoiseConfig',
    'PhysicsConfig',
    'PlannerConfig',
    'TrainingConfig',
    'register_planner',
    'set_fields',
    'static',
]
