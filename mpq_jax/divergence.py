"""Q that leaves the finite numbers: the round is undone, a limited number of times."""

import numpy as np

from mpq_jax.config import Config
from mpq_jax.learner import LearnMetrics

Counters = dict[str, np.ndarray]  # by column, `[B]`


def count_restores(metrics: LearnMetrics, counters: Counters) -> str:
    """Counts the members whose round was undone (see `Programs.learn`); a message if some were."""
    diverged = ~np.isfinite(metrics.q_loss) & (counters['env_steps'] > 0)
    counters['q_restores'] += diverged
    if not diverged.any():
        return ''
    return (
        f'Q diverged in {diverged.sum()} of {len(diverged)} members: their parameters and '
        'optimiser are those of before the round'
    )


def too_many_restores(config: Config, counters: Counters) -> str:
    """Why the run cannot go on; empty where it can."""
    most = config.training.max_restores
    for (_, seed), count in zip(config.members, counters['q_restores'], strict=True):
        if count > most:
            return (
                f'Q of seed {seed} diverged {count} times, training.max_restores = {most}: a '
                'smaller learner.learning_rate, or costs on a smaller scale, may help'
            )
    return ''
