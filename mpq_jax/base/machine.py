"""What the machine has for this process: cores, memory, arithmetic; on any system."""

import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp

# The limits of a container, of either version of Linux's control groups.
_LIMITS = ('/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')
_ASSUMED_BYTES = 8 * 2**30  # where the system does not say


def usable_cores() -> int:
    """CPU cores that this process may use; all there are where the system does not say."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it
        return os.cpu_count() or 1


def memory_bytes() -> int:
    """The machine's memory, or what the container that this process is in may use of it."""
    try:
        installed = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, ValueError, OSError):
        installed = _ASSUMED_BYTES
    return min([installed, *filter(None, map(_limit, _LIMITS))])


def _limit(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):  # no such file, or 'max'
        return None


def operations_per_second(width: int = 256, products: int = 64) -> float:
    """Of float32 products of square matrices, one after the other, on the default device."""
    matrix = jnp.eye(width)
    chain = jax.jit(lambda x: jax.lax.fori_loop(0, products, lambda _, y: y @ x, x))
    jax.block_until_ready(chain(matrix))
    start = time.perf_counter()
    jax.block_until_ready(chain(matrix))
    return products * 2.0 * width**3 / (time.perf_counter() - start)
