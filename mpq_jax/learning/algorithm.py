"""An algorithm is a value: who acts, what an episode leaves behind, what is learned from it.

Its functions are pure and written for one member of a run; the run maps them over its batch. How
an episode comes to be (one scan, or step by step on a real system) is not the algorithm's matter.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from mpq_jax.config import (
    ARSConfig,
    BasePlannerConfig,
    BeliefConfig,
    DemorlConfig,
    DistilConfig,
    DynamicsConfig,
    LearnerConfig,
    SACConfig,
)
from mpq_jax.dynamics import Model
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent, QParams, RandomAgent


class Numbers(NamedTuple):
    """The configs whose leaves may differ between members; a run stacks them to `[B]`."""

    planner: BasePlannerConfig
    belief: BeliefConfig
    learner: LearnerConfig
    dynamics: DynamicsConfig
    sac: SACConfig
    ars: ARSConfig
    distil: DistilConfig
    demorl: DemorlConfig


class MemberState(NamedTuple):
    """All that shapes a member's future; a run stacks them with a leading axis `[B]`."""

    key: jax.Array  # the seed's base key; streams are folded from it
    models: Model  # the planner's, leading axis D (or the bank); a learning round may replace them
    learner: Any = ()  # what is learned, whatever the algorithm makes of it
    buffer: Any = ()  # ReplayBuffer
    best_params: QParams = ()  # of the best validation so far; the run keeps them
    best_returns: Any = ()  # [E], of its episodes; NaN before the first
    dynamics: Any = ()  # what fits the planner's models, where they are learned


class Metrics(NamedTuple):
    """Scalars of one learning round. A loss that is not finite: that part was undone."""

    # Of Q; () where none is learned.
    q_loss: Any = ()  # mean over the last epoch, or over the round's fresh minibatches
    target_mean: Any = ()  # of the finite targets
    nonfinite_targets: Any = ()  # fraction, masked out of the loss
    target_effective_sample_size: Any = ()  # mean, of the samples of a target
    # Of whatever else is learned, models or a policy: {column of metrics.csv: scalar}, or ().
    columns: Any = ()


# (state, transitions [T], valid [T]) -> the state that has them.
Store = Callable[[MemberState, Transition, jax.Array], MemberState]


def _nothing(state: MemberState) -> QParams:
    return ()


class Algorithm(NamedTuple):
    """What a run does, as pure functions of one member.

    An algorithm without an `update` learns nothing: its episodes are independent, and a run plays
    many of them as one batch.
    """

    collect: Agent  # acts in training episodes
    play: Agent  # acts in validation and test episodes, and in a controller; on the same physics
    # (numbers, key, models, transition) -> the member before its first episode; `transition` holds
    # the shapes and types of what an episode gives.
    init: Callable[[Numbers, jax.Array, Model, Transition], MemberState]
    # What both agents act with: parts of the state, with and without its leading axis alike.
    params: Callable[[MemberState], QParams] = _nothing
    # (state, transitions [T], valid [T]) -> the state that has them.
    store: Store | None = None
    # (numbers, state, episode) -> the state after a learning round, which may have new models of
    # the same shapes.
    update: Callable[[Numbers, MemberState, jax.Array], tuple[MemberState, Metrics]] | None = None
    keep_plans: bool = False  # whether transitions hold the plan at s'
    # What the members' first state `[B]` gets from elsewhere, as from another run; in NumPy.
    bring: Callable[[MemberState], MemberState] | None = None
    # Who acts in a member's first training episodes, and in how many; None: `collect`.
    explore: Agent | None = None
    explore_episodes: int = 0

    def explores(self, episode: int) -> bool | None:
        """Whether `explore` acts in a training episode; None where it never does."""
        return episode < self.explore_episodes if self.explore else None

    def acts_randomly(self, episode: int) -> bool | None:
        """Whether a training episode's actions are random; None where they never are."""
        return self.explores(episode) if isinstance(self.explore, RandomAgent) else None

    def collects(self, episode: int) -> Agent:
        """Who acts in a training episode."""
        return self.explore if self.explore and self.explores(episode) else self.collect
