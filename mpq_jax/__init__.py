"""Model Predictive Q-Learning in JAX: MPPI on MuJoCo MJX with a learned soft Q at its end.

The names below are what users need; modules hold the parts, one job each.
"""

from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.base.interrupts import Stopped
from mpq_jax.base.validation import ConfigError, NothingLearnedError, RunError, TaskError
from mpq_jax.config import (
    BasePlannerConfig,
    Batch,
    BeliefConfig,
    Config,
    DynamicsConfig,
    ExecutionConfig,
    LearnerConfig,
    PhysicsConfig,
    PlannerConfig,
    TrainingConfig,
    register_planner,
    set_fields,
    static,
)
from mpq_jax.dynamics import Simulator, State, make_simulator, rollout
from mpq_jax.environments import EpisodeEnded, Measurement, RealSystem, register_real_system
from mpq_jax.evaluation.controller import Controller
from mpq_jax.evaluation.distillation import distil
from mpq_jax.evaluation.evaluator import evaluate
from mpq_jax.evaluation.loaded_controller import load_controller, make_controller
from mpq_jax.learning import Algorithm, MemberState, Metrics, register_algorithm
from mpq_jax.planning import (
    Candidates,
    Planner,
    Update,
    free_energy,
    load_planner,
    make_agent,
    plan,
    state_value,
)
from mpq_jax.suite.presets import baseline, no_control, preset
from mpq_jax.tasks import (
    RandomizedParameter,
    Reading,
    Start,
    Task,
    View,
    load_task,
    menagerie,
    register_task,
    starts_near,
)
from mpq_jax.tasks.terminal_costs import alive_bonus, cost_to_go
from mpq_jax.training.trainer import train

__version__ = '0.1.0'

__all__ = [
    'Algorithm',
    'BasePlannerConfig',
    'Batch',
    'BeliefConfig',
    'Candidates',
    'CompiledFunction',
    'Config',
    'ConfigError',
    'Controller',
    'DynamicsConfig',
    'EpisodeEnded',
    'ExecutionConfig',
    'LearnerConfig',
    'Measurement',
    'MemberState',
    'Metrics',
    'NothingLearnedError',
    'PhysicsConfig',
    'Planner',
    'PlannerConfig',
    'RandomizedParameter',
    'Reading',
    'RealSystem',
    'RunError',
    'Simulator',
    'Start',
    'State',
    'Stopped',
    'Task',
    'TaskError',
    'TrainingConfig',
    'Update',
    'View',
    'alive_bonus',
    'baseline',
    'compile',
    'cost_to_go',
    'distil',
    'evaluate',
    'free_energy',
    'load_controller',
    'load_planner',
    'load_task',
    'make_agent',
    'make_controller',
    'make_simulator',
    'menagerie',
    'no_control',
    'plan',
    'preset',
    'register_algorithm',
    'register_planner',
    'register_real_system',
    'register_task',
    'rollout',
    'set_fields',
    'starts_near',
    'state_value',
    'static',
    'train',
]
