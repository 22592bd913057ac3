"""Plans for the members whose episodes go on: a program for all, for half of them, a quarter."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from mpq_jax.environments.real_system import Measurement

# (planner, Q's parameters, models, measurements, plans, keys, t) -> (instants, plans, diagnostics),
# with a leading axis of members but for t.
ControlStep = Callable[..., tuple[Any, Any, Any]]


class GoingMembers:
    """One episode's planning. What it returns has every member: the done ones stay as they were."""

    def __init__(
        self, program_of: Callable[[int], ControlStep], shrinks: bool, constants, plans, keys
    ):
        """For S members.

        Args:
          program_of: compiled for so many members.
          shrinks: whether fewer members get a smaller program.
          constants: (planner, Q's parameters, models), leading axis S.
          plans: leading axis S.
          keys: `[S]`.
        """
        self._program_of, self._shrinks = program_of, shrinks
        self._all = constants, keys
        self._rows = np.arange(len(keys))
        self._taken, self._plans = self._all, plans
        self._latest: Any = None

    def act(self, now: Sequence[Measurement], alive: np.ndarray, t):
        """One control step: instants, plans and diagnostics, leading axis S."""
        self._drop(alive)
        constants, keys = self._taken
        here = stack([now[int(i)] for i in self._rows])
        program = self._program_of(len(self._rows))
        instants, self._plans, info = program(*constants, here, self._plans, keys, t)
        if len(self._rows) == len(alive):
            self._latest = instants, self._plans, info
        else:
            self._latest = jax.tree.map(self._put, self._latest, (instants, self._plans, info))
        return self._latest

    def _drop(self, alive: np.ndarray) -> None:
        """Leaves out members that are done, where half as many or fewer go on."""
        going = self._rows[alive[self._rows]]
        size = len(self._rows)
        while self._shrinks and len(going) <= size // 2:
            size //= 2
        if size == len(self._rows):
            return
        kept = np.flatnonzero(alive[self._rows])
        places = np.resize(kept, size)  # the first ones again, where there is room
        self._plans = jax.tree.map(lambda x: x[places], self._plans)
        self._rows = self._rows[places]
        self._taken = jax.tree.map(lambda x: x[self._rows], self._all)

    def _put(self, whole, part) -> np.ndarray:
        whole = np.array(whole)
        whole[self._rows] = part
        return whole


def stack(trees: Sequence, axis: int = 0):
    """Pytrees of one structure on a new axis, as NumPy arrays."""
    return jax.tree.map(lambda *leaves: np.stack(leaves, axis=axis), *trees)
