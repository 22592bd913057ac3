"""The configs of planners, what they believe, and their names."""

from mpq_jax.config.planners.dmd_config import CEM, DMDConfig
from mpq_jax.config.planners.mppi_config import (
    PREDICTIVE_SAMPLING,
    RANDOM_SHOOTING,
    BasePlannerConfig,
    BeliefConfig,
    NoiseConfig,
    PlannerConfig,
    check_draws,
    static,
)
from mpq_jax.config.planners.names import (
    own_planner,
    planner_config,
    planner_names,
    register_planner,
)

__all__ = [
    'CEM',
    'PREDICTIVE_SAMPLING',
    'RANDOM_SHOOTING',
    'BasePlannerConfig',
    'BeliefConfig',
    'DMDConfig',
    'NoiseConfig',
    'PlannerConfig',
    'check_draws',
    'own_planner',
    'planner_config',
    'planner_names',
    'register_planner',
    'static',
]
