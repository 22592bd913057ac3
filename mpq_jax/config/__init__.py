"""What a run is made of: frozen dataclasses of numbers and choices, overrides, names for tables."""

from mpq_jax.config.batch import Batch
from mpq_jax.config.dynamics_config import DynamicsConfig
from mpq_jax.config.fields import set_fields
from mpq_jax.config.learner_config import LearnerConfig
from mpq_jax.config.planners import (
    CEM,
    PREDICTIVE_SAMPLING,
    RANDOM_SHOOTING,
    BasePlannerConfig,
    BeliefConfig,
    DMDConfig,
    NoiseConfig,
    PlannerConfig,
    register_planner,
    static,
)
from mpq_jax.config.policies import ARSConfig, DemorlConfig, DistilConfig, SACConfig
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
    'ARSConfig',
    'BasePlannerConfig',
    'Batch',
    'BeliefConfig',
    'Config',
    'DMDConfig',
    'DemorlConfig',
    'DistilConfig',
    'DynamicsConfig',
    'ExecutionConfig',
    'LearnerConfig',
    'NoiseConfig',
    'PhysicsConfig',
    'PlannerConfig',
    'SACConfig',
    'TrainingConfig',
    'register_planner',
    'set_fields',
    'static',
]
