"""What the machine has for this process: cores and memory, on any system Python runs on."""

import os
from pathlib import Path

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
