"""Ctrl-C and SIGTERM: noticed between programs, so that nothing half done is kept."""

import contextlib
import signal
import threading
from collections.abc import Iterator


class StopRequest:
    """Becomes true once a signal asked the program to stop."""

    def __init__(self) -> None:
        self.signal_name = ''

    def __bool__(self) -> bool:
        return bool(self.signal_name)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first SIGINT or SIGTERM is only noted; a second one acts as it did before."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number, frame):
        request.signal_name = signal.Signals(number).name
        for which, handler in before.items():
            signal.signal(which, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
