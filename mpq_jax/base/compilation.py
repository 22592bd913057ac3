"""Compiling at the top: one place that lowers, compiles, times, and knows the backends."""

import contextlib
import dataclasses
import functools
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax

from mpq_jax.base.validation import RunError

# XLA's CPU fusion emitters recompute a parent's transform for each consumer: kinematic chains
# take minutes to compile with them (BUILD_NOTES.md). A debug option: jaxlib 0.12 has dropped it.
CPU_OPTIONS: dict[str, str | bool] = {'xla_cpu_use_fusion_emitters': False}
_EMITTERS: dict[str, str | bool] = dict.fromkeys(CPU_OPTIONS, True)
# Sums by loops of XLA's own: YNNPACK takes 0.3 ms for 1024 plans' control terms, a loop 0.02. Its
# products stay: without them a gradient step of SAC takes a tenth longer.
_LOOPS: dict[str, str | bool] = {
    'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT'
}


@dataclasses.dataclass(frozen=True)
class CompiledFunction:
    """An executable for arguments of one shape; anything else is refused, never recompiled."""

    name: str
    executable: Any
    compile_seconds: float
    temporary_bytes: int  # what XLA allots for temporaries; 0 where the backend does not say

    def __call__(self, *args):
        return self.executable(*args)


def compile(
    fn: Callable, *args, name: str = '', donate: tuple[int, ...] = (), out_shardings=None,
    fusion_emitters: bool = False,
) -> CompiledFunction:  # fmt: skip
    """Compiles a function ahead of time for the default backend.

    Args:
      fn: a pure function of pytrees of arrays.
      *args: example arguments, or `jax.ShapeDtypeStruct`s in their place.
      name: for messages; the function's own if empty.
      donate: positions of arguments whose buffers the result may take over.
      out_shardings: how results lie on several devices, as for `jax.jit`; XLA's choice if None.
      fusion_emitters: XLA's for CPUs, of which most programs are kept free (`CPU_OPTIONS`).

    Returns:
      A callable for arguments of the same shapes and types.
    """
    begin = time.perf_counter()
    chosen = {} if out_shardings is None else {'out_shardings': out_shardings}
    lowered = jax.jit(fn, donate_argnums=donate, **chosen).lower(*args)
    executable = _compile(lowered, fusion_emitters)
    memory = executable.memory_analysis()
    return CompiledFunction(
        name or getattr(fn, '__name__', 'function'),
        executable,
        time.perf_counter() - begin,
        getattr(memory, 'temp_size_in_bytes', 0),
    )


@contextlib.contextmanager
def program_errors() -> Iterator[None]:
    """Says what went wrong in a program in a line, and what may help.

    Raises:
      RunError: the device's memory did not do, or native physics failed in a callback.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
        if 'RESOURCE_EXHAUSTED' in lines[0]:
            raise RunError(
                f'out of memory: {lines[0][:300]}. Less at once: a smaller execution.memory_gib, '
                'execution.sample_chunk or execution.target_chunk, or fewer seeds'
            ) from error
        named = [line for line in lines if re.match(r'[A-Za-z_.]*(Error|Exception)\b', line)]
        raise RunError(f'a program failed: {(named or lines)[-1][:600]}') from error


def accepts_cpu_options() -> bool:
    """Whether this XLA still takes CPU_OPTIONS."""
    return _accepts(tuple(CPU_OPTIONS.items()))


@functools.cache
def _accepts(options: tuple[tuple[str, str | bool], ...]) -> bool:
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=dict(options))
    except Exception:  # a type of its own in every version
        return False
    return True


def _compile(lowered, fusion_emitters: bool):
    emitters = _EMITTERS if fusion_emitters else CPU_OPTIONS
    wanted = [emitters, _LOOPS] if jax.default_backend() == 'cpu' else []
    options = {k: v for each in wanted if _accepts(tuple(each.items())) for k, v in each.items()}
    return lowered.compile(compiler_options=options or None)
