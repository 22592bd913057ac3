"""How much arithmetic of networks a run is, from its sizes, before anything is compiled."""

from typing import Any

import jax
import numpy as np

from mpq_jax.config import Config
from mpq_jax.config.run_length import most_steps, whole_episodes
from mpq_jax.learning.algorithm import MemberState
from mpq_jax.learning.policies.demorl import rollout_steps


def of_sac(config: Config, shapes: MemberState, episode_steps: int) -> float:
    """Operations of a member's gradient steps; episodes that end early take fewer.

    A pass through a network is two operations a parameter and row, its gradient two passes more.

    Args:
      config: the run's.
      shapes: of the members' states, with or without values.
      episode_steps: control steps of an episode, at most.
    """
    return _gradient_steps(config, shapes.learner.trained, episode_steps)


def of_demorl(config: Config, shapes: MemberState, episode_steps: int) -> float:
    """The same of gradient steps, of fitting models, and of plans and rollouts on them."""
    trained, settings, planner = shapes.learner.sac.trained, config.demorl, config.planner
    q, model = _parameters(trained.qs), _parameters(shapes.dynamics.fits.member.params, axes=2)
    rounds, plans = _rounds(config, episode_steps), planner.num_samples * planner.iterations
    ends = settings.generations * settings.starts * plans
    rollouts = 2.0 * rounds * (rollout_steps(config) * model + ends * q)
    return (
        _gradient_steps(config, trained, episode_steps)
        + _fits(config, model, episode_steps)
        + rollouts
    )


def _gradient_steps(config: Config, trained: Any, episode_steps: int) -> float:
    """Targets, then Qs, then the policy through the Qs."""
    policy, qs = _parameters(trained.policy), _parameters(trained.qs)
    count = most_steps(config, episode_steps) * config.sac.updates_per_step
    return count * config.sac.batch_size * 2 * (4 * policy + 6 * qs)


def _fits(config: Config, parameters: int, episode_steps: int) -> float:
    """At most so many: members stop where they no longer improve."""
    fresh = config.learner.episodes_per_round * episode_steps
    rows = np.minimum(
        fresh * np.arange(1, _rounds(config, episode_steps) + 1), config.learner.buffer_capacity
    )
    settings = config.dynamics
    return 6.0 * parameters * settings.members * settings.epochs * float(rows.sum())


def _rounds(config: Config, episode_steps: int) -> int:
    return whole_episodes(config, episode_steps) // config.learner.episodes_per_round


def _parameters(tree: Any, axes: int = 1) -> int:
    """Of one network, or all Qs, behind so many leading axes."""
    return sum(int(np.prod(leaf.shape[axes:])) for leaf in jax.tree.leaves(tree))
