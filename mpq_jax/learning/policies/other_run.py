"""The run that another one builds on, as an algorithm gets it: who acts there, what it learned."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.config import Config
from mpq_jax.learning.algorithm import Algorithm, MemberState


class OtherRun(NamedTuple):
    """A trained run of the same task, which has the seeds of the one that is made."""

    config: Config  # what its members share
    algorithm: Algorithm  # whose `play` acts with `algorithm.params(state)` on `state.models`
    shapes: MemberState  # of one member's state
    load: Callable[[], MemberState]  # the latest, read when called; [S], in the order of our seeds

    def of_members(self, members: int) -> MemberState:
        """Its state for each of `members`, whose seeds go fastest: for `Algorithm.bring`."""
        state = self.load()

        def repeated(leaf: jax.Array) -> jax.Array:
            return jnp.asarray(leaf)[np.arange(members) % leaf.shape[0]]

        return jax.tree.map(repeated, state)
