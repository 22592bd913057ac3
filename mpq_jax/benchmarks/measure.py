"""Timing that can be compared: contenders take turns, so the machine's drift hits all alike."""

import csv
import dataclasses
import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mpq_jax.base.files import write_atomically

FEWEST = 5  # rounds that count, however long one takes


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
    enough: float = math.inf,
) -> dict[str, Timing]:
    """Times each call `repeats` times, in rounds of one call each, after a warm-up round.

    In each round a call is made twice and the second one timed, so that what the contender
    before left behind (caches, threads that still spin) is not charged to it.

    Args:
      calls: name -> a call; what it returns is blocked on.
      repeats: rounds that count.
      on_round: told how far it is, between the rounds.
      enough: seconds after which no further round begins, once `FEWEST` have counted.
    """
    begun = time.perf_counter()
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for i in range(repeats + 1):
        if i > FEWEST and time.perf_counter() - begun > enough:
            break
        on_round(f'{i} of {repeats} repeats')
        for name, call in calls.items():
            jax.block_until_ready(call())
            begin = time.perf_counter()
            jax.block_until_ready(call())
            if i:
                seconds[name].append(time.perf_counter() - begin)
    return {name: Timing(np.array(values)) for name, values in seconds.items()}


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Rows with the keys of the first; whole, or not at all."""
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, table.getvalue())
