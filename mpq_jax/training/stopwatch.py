"""Timing of programs, compilation apart."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import jax

from mpq_jax.base.compilation import program_errors
from mpq_jax.training.programs import Programs


class Stopwatch:
    """Runs programs and adds up their seconds."""

    def __init__(self, programs: Programs):
        self._programs = programs
        self.seconds = 0.0
        self.loop_seconds = 0.0  # programs, Python, logging, saving, transfer

    def run(self, program, *args) -> tuple[Any, float]:
        """The program's result, when it is there, and the seconds it ran.

        Raises:
          RunError: it ran out of memory, or a callback of it failed.
        """
        begin = self._now
        with program_errors():
            result = jax.block_until_ready(program(*args))
        seconds = self._now - begin
        self.seconds += seconds
        return result, seconds

    @contextlib.contextmanager
    def loop(self) -> Iterator[None]:
        """Around all of the programs and what is done between them."""
        begin = self._now
        yield
        self.loop_seconds = self._now - begin

    def per_second(self, count: float) -> float:
        return float(count / max(self.seconds, 1e-9))

    @property
    def figures(self) -> dict[str, float]:
        return {
            'run_seconds': round(self.seconds, 3),
            'loop_seconds': round(self.loop_seconds, 3),
        }

    @property
    def _now(self) -> float:
        """On a clock that stands still while something compiles."""
        return time.perf_counter() - self._programs.compile_seconds
