"""Timing that can be compared: contenders take turns, so the machine's drift hits all alike."""

import dataclasses
import time
from collections.abc import Callable, Mapping

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Timing:
    """Wall seconds of repeated calls, warmed and blocked on."""

    seconds: np.ndarray  # [repeats]

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent))


def take_turns(
    calls: Mapping[str, Callable[[], object]],
    repeats: int,
    on_round: Callable[[str], None] = lambda progress: None,
) -> dict[str, Timing]:
    """Times each call `repeats` times, in rounds of one call each, after a warm-up round.

    In each round a call is made twice and the second one timed, so that what the contender
    before left behind (caches, threads that still spin) is not charged to it.

    Args:
      calls: name -> a call; what it returns is blocked on.
      repeats: rounds that count.
      on_round: told how far it is, between the rounds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(repeats + 1):
        on_round(f'{i} of {repeats} repeats')
        for name, call in calls.items():
            jax.block_until_ready(call())
            begin = time.perf_counter()
            jax.block_until_ready(call())
            if i:
                seconds[name].append(time.perf_counter() - begin)
    return {name: Timing(np.array(values)) for name, values in seconds.items()}
