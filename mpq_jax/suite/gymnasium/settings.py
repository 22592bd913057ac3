"""Settings that suit each environment, and what they were chosen on (BUILD_NOTES.md)."""

from typing import Any

LONG_HORIZON = 64
_ON = 'seeds 0 to {}, tuning starts, first {} steps, plain MPPI on the true model'
# Of the others nothing was chosen: their settings are a first guess.
CHOSEN_ON = {
    'InvertedDoublePendulum-v5': _ON.format(4, 100),
    'Reacher-v5': _ON.format(4, 100),
    'HalfCheetah-v5': _ON.format(3, 300),
}

# Native MuJoCo is what Gymnasium steps. The true model, unless the belief is asked for.
_ALL: dict[str, Any] = {
    'planner_model': 'true',
    'planner.discount': 0.99,
    'planner.horizon': 16,
    'planner.num_samples': 36,
    'planner.noise': 'knots',
    'planner.noise_variance': 0.5,
    'planner.temperature': 0.1,
    'real_physics.backend': 'mujoco',
    'learner.num_states': 320,
    'learner.epochs': 80,
}
_OF: dict[str, dict[str, Any]] = {
    # Half a second ahead, finely: white noise alone fells every longer plan.
    'InvertedDoublePendulum-v5': {
        'planner.discount': 0.95,
        'planner.horizon': 10,
        'planner.num_samples': 64,
        'planner.noise': 'white',
        'planner.noise_variance': 0.02,
        'planner.temperature': 0.02,
        'planner_physics.timestep': 0.025,
    },
    'Reacher-v5': {'planner.noise_variance': 0.02, 'planner.temperature': 0.02},
    'HalfCheetah-v5': {'planner.noise': 'white', 'planner.temperature': 0.05},
    # MJX has no PGS, which their MJCF asks for.
    'Humanoid-v5': {'planner_physics.backend': 'mujoco'},
    'HumanoidStandup-v5': {'planner_physics.backend': 'mujoco'},
}


def settings(environment_id: str) -> dict[str, Any]:
    return _ALL | _OF.get(environment_id, {})
