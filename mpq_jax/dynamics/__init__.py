"""What the planner believes: simulators of a task's physics, and draws of their models.

Physics are pure functions; `make_simulator` picks the backend that a config names.
"""

from mpq_jax.dynamics.backends import (
    compiles_slowly,
    for_planner,
    is_free,
    make_simulator,
    steps_per_control,
)
from mpq_jax.dynamics.simulator import (
    Model,
    Rollout,
    Simulator,
    State,
    Trajectory,
    all_finite,
    ending,
    rollout,
    with_emitters,
)

__all__ = [
    'Model',
    'Rollout',
    'Simulator',
    'State',
    'Trajectory',
    'all_finite',
    'compiles_slowly',
    'ending',
    'for_planner',
    'is_free',
    'make_simulator',
    'rollout',
    'steps_per_control',
    'with_emitters',
]
