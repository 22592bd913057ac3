"""Timing of programs, compilation apart."""

import time
from typing import Any

import jax

from mpq_jax.training.programs import Programs


class Stopwatch:
    """Runs programs and adds up their seconds."""

    def __init__(self, programs: Programs):
        self._programs = programs
        self.seconds = 0.0

    def run(self, program, *args) -> tuple[Any, float]:
        """The program's result, when it is there, and the seconds it ran."""
        compiled, begin = self._programs.compile_seconds, time.perf_counter()
        result = jax.block_until_ready(program(*args))
        compiling = self._programs.compile_seconds - compiled
        seconds = time.perf_counter() - begin - compiling
        self.seconds += seconds
        return result, seconds
