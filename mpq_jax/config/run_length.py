"""How far a run is, and what is due in it, after so many episodes."""

from mpq_jax.config.run_config import Config


def share_done(config: Config, episodes: int, env_steps: int) -> float:
    """Of a run, 1 or more at its end: its episodes, or `training.max_env_steps` of each seed.

    Args:
      config: the run's.
      episodes: that are done.
      env_steps: control steps that every seed has taken in them.
    """
    most = config.training.max_env_steps
    return max(episodes / config.episodes, env_steps / most if most else 0.0)


def counted(config: Config) -> tuple[int, str]:
    """What progress is counted in: how many at its end, and of what."""
    most = config.training.max_env_steps
    return (most, 'control steps') if most else (config.episodes, 'episodes')


def most_steps(config: Config, episode_steps: int) -> int:
    """Control steps of a seed in training, of episodes of at most so many."""
    most = config.training.max_env_steps
    steps = config.episodes * episode_steps
    return min(steps, most + episode_steps) if most else steps


def whole_episodes(config: Config, episode_steps: int) -> int:
    """Episodes of a run in which each takes so many control steps."""
    return min(config.episodes, -(-most_steps(config, episode_steps) // episode_steps))


def validations_after(config: Config, episode: int) -> int:
    """How many validation episodes follow episode number `episode`."""
    due = config.learns and (episode + 1) % config.validation_interval == 0
    return config.training.validation_episodes * due
