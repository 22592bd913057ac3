"""The paper's Table 3 (Bhardwaj et al., L4DC 2020, full version), as config fields.

What the table leaves open (how often and how much Q is trained) is not here: see the
defaults of `LearnerConfig` and `PAPER_LEARNING`, which are our choice.
"""

from typing import Any


def _row(horizon, episodes, samples, variance, temperature, step_size, target_iterations):
    return {
        'episodes': episodes,
        'planner.horizon': horizon,
        'planner.num_samples': samples,
        'planner.noise_variance': variance,
        'planner.temperature': temperature,
        'planner.step_size': step_size,
        'planner.discount': 0.9,
        'learner.target_iterations': target_iterations,
    }


TABLE_3 = {
    # H, episodes, N, Sigma, lambda, alpha, target iterations
    'PendulumSwingup': _row(8, 700, 24, 4.0, 0.15, 0.5, 3),
    'BallInCupSparse': _row(4, 350, 36, 4.0, 0.15, 0.55, 3),
    'FetchPushBlock': _row(10, 160, 36, 3.0, 0.01, 0.5, 3),
    'FrankaDrawerOpen': _row(10, 200, 36, 4.0, 0.05, 0.55, 1),
}

# H of the long MPPI baseline
LONG_HORIZON = {
    'PendulumSwingup': 32,
    'BallInCupSparse': 48,
    'FetchPushBlock': 64,
    'FrankaDrawerOpen': 64,
}

# K, M and N_update are undisclosed: a guess, for targets made afresh in every minibatch.
PAPER_LEARNING = {
    'learner.mode': 'per_minibatch',
    'learner.num_minibatches': 100,
    'learner.minibatch_size': 64,
    'learner.episodes_per_round': 1,
}


def paper_presets(name: str, **undone: Any) -> dict[str, dict[str, Any]]:
    """Presets of a task of the paper, on top of its own settings.

    Args:
      name: the task's, in Table 3.
      **undone: fields that undo what its settings change beside the table.

    Returns:
      'paper': Table 3 to the letter, with fresh targets for every minibatch; 'paper_learning': Q
      learns as in 'paper', all else is the task's own.
    """
    row = TABLE_3[name]
    iterations = {'learner.target_iterations': row['learner.target_iterations']}
    return {
        'paper': row | PAPER_LEARNING | undone,
        'paper_learning': PAPER_LEARNING | iterations,
    }
