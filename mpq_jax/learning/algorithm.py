"""An algorithm is a value: who acts, what an episode leaves behind, what is learned from it.

Its functions are pure and written for one member of a run; the run maps them over its batch. How
an episode comes to be (one scan, or step by step on a real system) is not the algorithm's matter.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from mpq_jax.config import BasePlannerConfig, BeliefConfig, LearnerConfig
from mpq_jax.dynamics import Model
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.planning.agent import Agent, QParams


class Numbers(NamedTuple):
    """The configs whose leaves may differ between members; a run stacks them to `[B]`."""

    planner: BasePlannerConfig
    belief: BeliefConfig
    learner: LearnerConfig


class MemberState(NamedTuple):
    """All that shapes a member's future; a run stacks them with a leading axis `[B]`."""

    key: jax.Array  # the seed's base key; streams are folded from it
    models: Model  # the planner's, leading axis D (or the bank); a learning round may replace them
    learner: Any = ()  # what is learned, whatever the algorithm makes of it
    buffer: Any = ()  # ReplayBuffer
    best_params: QParams = ()  # of the best validation so far; the run keeps them
    best_returns: Any = ()  # [E], of its episodes; NaN before the first


class Metrics(NamedTuple):
    """Scalars of one learning round. A loss that is not finite: the round was undone."""

    q_loss: jax.Array  # mean over the last epoch, or over the round's fresh minibatches
    target_mean: jax.Array  # of the finite targets
    nonfinite_targets: jax.Array  # fraction, masked out of the loss
    target_effective_sample_size: Any = float('nan')  # mean, of the samples of a target


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
    params: Callable[[MemberState], QParams] = _nothing  # what both agents act with
    # (state, transitions [T], valid [T]) -> the state that has them.
    store: Callable[[MemberState, Transition, jax.Array], MemberState] | None = None
    # (numbers, state, episode) -> the state after a learning round, which may have new models of
    # the same shapes.
    update: Callable[[Numbers, MemberState, jax.Array], tuple[MemberState, Metrics]] | None = None
    keep_plans: bool = False  # whether transitions hold the plan at s'
