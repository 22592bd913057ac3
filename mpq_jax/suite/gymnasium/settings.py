"""Settings that suit each environment, and what they were chosen on (BUILD_NOTES.md)."""

from typing import Any

LONG_HORIZON = 64
_ON = 'seeds 0 to {}, tuning starts, first {} steps, plain MPPI on the true model'
_MPQ_ON = 'seeds 0 and 1, tuning starts, 5000 steps and more, MPQ on the biased model'
# Of the others nothing was chosen: their settings are a first guess.
CHOSEN_ON = {
    'InvertedPendulum-v5': _MPQ_ON,
    'InvertedDoublePendulum-v5': f"{_ON.format(4, 100)}; MPQ's: {_MPQ_ON}",
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
# Q at the end of a short plan of little noise balances what MPPI wants a longer one for.
_MPQ: dict[str, dict[str, Any]] = {
    'InvertedPendulum-v5': {
        'planner.horizon': 5,
        'planner.noise': 'white',
        'planner.noise_variance': 0.05,
        'planner.temperature': 0.5,
        'learner.q_scale': 50.0,  # a fall costs 100
    },
    'InvertedDoublePendulum-v5': {
        'planner.horizon': 3,
        'planner.noise_variance': 0.05,
        'planner.temperature': 0.25,
        # Episodes are short at first: a round after five of them.
        'learner.episodes_per_round': 5,
        'learner.num_states': 512,
        'learner.epochs': 40,
        'learner.q_scale': 50.0,  # a fall costs 200
    },
}


def settings(environment_id: str) -> dict[str, Any]:
    return _ALL | _OF.get(environment_id, {})


def agent_settings(environment_id: str) -> dict[str, dict[str, Any]]:
    """What MPQ and SoftQ plan and learn with, and MPPI beside them with its own."""
    mpq = _MPQ.get(environment_id, {})
    own = {name: value for name, value in settings(environment_id).items() if name in mpq}
    return {'mpq': mpq, 'softq': mpq, 'mppi': own}
