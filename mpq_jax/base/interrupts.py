"""Ctrl-C and SIGTERM: the episode under way is finished or given up, and what is saved stands."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

# Shells and schedulers read 128 + the signal's number as: asked to stop, did not fail.
_EXIT_CODE_BASE = 128
_PATIENCE_SECONDS = 15.0
_LAST_SECONDS = 5.0  # for hardware to come to rest, and for the last word
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Becomes true once a signal asked the program to stop."""

    def __init__(self) -> None:
        self.signal_name = ''
        self.where: Callable[[], str] = lambda: ''  # how far the run is, and how it goes on
        self.before_exit: Callable[[], None] = lambda: None  # what moves comes to rest

    def __bool__(self) -> bool:
        return bool(self.signal_name)


class Stopped(Exception):
    """A signal ended the run early; what was finished is saved."""

    def __init__(self, message: str, signal_name: str = 'SIGINT'):
        super().__init__(message)
        self.signal_name = signal_name

    def __reduce__(self):
        return Stopped, (str(self), self.signal_name)

    @property
    def exit_code(self) -> int:
        return _EXIT_CODE_BASE + signal.Signals[self.signal_name]


_current: list[StopRequest] = []  # of the runs under way, the innermost last


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first SIGINT or SIGTERM is only noted; a second one acts as it did before."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.getsignal(number) for number in _NUMBERS}

    def note(number, frame):
        request.signal_name = signal.Signals(number).name
        for which, handler in before.items():
            if handler is not signal.SIG_IGN:  # as a shell leaves SIGINT in the background
                signal.signal(which, handler)

    for number in before:
        signal.signal(number, note)
    _current.append(request)
    try:
        yield request
    finally:
        _current.remove(request)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def exit_when_busy(patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Ends the process some seconds after a signal, or at a second one, whatever it is doing.

    Python handles signals between its own instructions: a compilation or a long program would
    hold them up. For entry points: the process is gone without a word to its other threads, which
    is safe because every file of a run is either whole or not there.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    finished = threading.Event()

    def watch() -> None:
        number = _next_signal(reading)
        if number is None:
            return
        timer = threading.Timer(patience, _leave, (number, finished))
        timer.daemon = True
        timer.start()
        again = _next_signal(reading)
        timer.cancel()
        if again is not None:
            _leave(again, finished)

    threading.Thread(target=watch, daemon=True, name='signals').start()
    try:
        yield
    finally:
        finished.set()
        signal.set_wakeup_fd(before)
        os.close(writing)


def _next_signal(pipe: int) -> int | None:
    """Waits for one that asks to stop; None at the end of the pipe."""
    while True:
        byte = os.read(pipe, 1)
        if not byte:
            return None
        if byte[0] in _NUMBERS:
            return byte[0]


def _leave(number: int, finished: threading.Event) -> None:
    if finished.is_set():
        return
    request = _current[-1] if _current else StopRequest()
    _within(_LAST_SECONDS, request.before_exit)
    name = signal.Signals(number).name
    _within(_LAST_SECONDS, lambda: _say(f'stopped by {name} {request.where()}'))
    os._exit(_EXIT_CODE_BASE + number)


def _within(seconds: float, function: Callable[[], None]) -> None:
    """Calls it, and goes on without it where it hangs, on a full pipe for one, or fails."""

    def call() -> None:
        with contextlib.suppress(BaseException):
            function()

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(seconds)


def _say(message: str) -> None:
    sys.stdout.flush()
    print(f'\n{message}', file=sys.stderr, flush=True)
