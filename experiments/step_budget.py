"""Runs to a number of control steps, whatever number of episodes that is."""

from pathlib import Path

import mpq_jax
from mpq_jax.config import Config
from mpq_jax.runs.metrics import read_table


def train_to(config: Config, steps: int, path: Path) -> None:
    """Trains one seed until so many are taken, or goes on where it was; `config.episodes` is set.

    Raises:
      ConfigError, RunError: what `mpq_jax.train` raises.
    """
    task, taken, done = mpq_jax.load_task(config.task), 0, 0
    growth = 1 if task.terminated is None else 3  # episodes grow longer
    if (path / 'metrics.csv').exists():
        taken, done = progress(path)
    while taken < steps:
        recent = recent_steps(path) if done else task.episode_steps
        more = min(max((steps - taken) // (growth * recent), 1), 100)
        least = config.dynamics.random_episodes + 1 if config.learns_dynamics else 1
        episodes = max(done + more, least)
        mpq_jax.train(mpq_jax.set_fields(config, {'episodes': episodes}), path, resume=done > 0)
        taken, done = progress(path)


def progress(path: Path) -> tuple[int, int]:
    """Control steps and episodes of a run so far."""
    steps = read_table(path / 'metrics.csv', 'env_steps')[0]
    return int(steps[-1]), len(steps)


def recent_steps(path: Path) -> int:
    """The mean length of its last episodes, three at most."""
    ends = [0.0, *read_table(path / 'metrics.csv', 'env_steps')[0]][-4:]
    return max(10, int((ends[-1] - ends[0]) / (len(ends) - 1)))
