"""Ctrl-C and SIGTERM: the episode under way is finished or given up, and what is saved stands."""

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import IO

# Shells and schedulers read 128 + the signal's number as: asked to stop, did not fail.
_EXIT_CODE_BASE = 128
_PATIENCE_SECONDS = 15.0
EPISODE_SECONDS = 10.0  # that an episode which is driven may still take
_LAST_SECONDS = 5.0  # for hardware to come to rest, and for the last word
_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Becomes true once a signal asked the program to stop."""

    def __init__(self) -> None:
        self.signal_name = ''
        self.since = 0.0  # by time.monotonic(), of the signal
        self.where: Callable[[], str] = lambda: ''  # how far the run is, and how it goes on
        self.before_exit: Callable[[], None] = lambda: None  # what moves comes to rest

    def __bool__(self) -> bool:
        return bool(self.signal_name)

    def check(self, patience: float = 0.0) -> None:
        """Raises Abandoned so many seconds after the program was asked to stop."""
        if self and time.monotonic() - self.since >= patience:
            raise Abandoned

    def checked(self, show: Callable[[str], None], patience: float) -> Callable[[str], None]:
        """`show`, which is called again and again, with that check after it."""

        def show_and_check(text: str) -> None:
            show(text)
            self.check(patience)

        return show_and_check


class Abandoned(Exception):
    """What was under way is given up because the program was asked to stop."""


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
_watching = threading.Event()  # whether a watcher is there already


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """The first SIGINT or SIGTERM is only noted; the process ends at a second one, or if it takes
    too long (`exit_when_busy`, which this enters). In a thread nothing changes.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number, frame):
        if not request:
            request.since = time.monotonic()
        request.signal_name = signal.Signals(number).name

    before = {number: signal.signal(number, note) for number in _NUMBERS}
    _current.append(request)
    try:
        with exit_when_busy():
            yield request
    finally:
        _current.remove(request)
        for number, handler in before.items():
            signal.signal(
                number, signal.SIG_DFL if handler is None else handler
            )  # None: not Python's


@contextlib.contextmanager
def exit_when_busy(patience: float = _PATIENCE_SECONDS) -> Iterator[None]:
    """Ends the process some seconds after a signal, or at a second one, whatever it is doing.

    Python handles signals between its own instructions: a compilation or a long program would
    hold them up, and an exception in the midst of one can crash it. So a thread looks out for them:
    the process is gone without a word to its other threads, which is safe because every file of a
    run is either whole or not there. At a prompt or in a notebook one Ctrl-C alone does not end it.
    Within another one, or in a thread, nothing changes.
    """
    _keep_children_out()
    in_main = threading.current_thread() is threading.main_thread()
    if _watching.is_set() or not in_main:
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    finished = threading.Event()
    _watching.set()

    def watch() -> None:
        with contextlib.closing(os.fdopen(reading, 'rb', buffering=0)) as pipe:
            number = _next_signal(pipe, before)
            if number is None:
                return
            timer = threading.Timer(patience, _leave, (number, finished))
            timer.daemon = True
            if number != signal.SIGINT or not hasattr(sys, 'ps1'):
                timer.start()
            if _current and not finished.is_set():
                _within(_LAST_SECONDS, lambda: _say('stopping; once more to leave at once'))
            again = _next_signal(pipe, before)
            timer.cancel()
            if again is not None:
                _leave(again, finished)

    threading.Thread(target=watch, daemon=True, name='signals').start()
    try:
        yield
    finally:
        finished.set()
        _watching.clear()
        signal.set_wakeup_fd(before)
        os.close(writing)


@functools.cache
def _keep_children_out() -> None:
    """A forked process shares the pipe: a signal that ends it is not to stop this one."""

    def forget() -> None:
        if _watching.is_set():
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _watching.clear()

    os.register_at_fork(after_in_child=forget)


def _next_signal(pipe: IO[bytes], former: int) -> int | None:
    """Waits for one that asks to stop; None at the end of the pipe.

    What is read goes on to the file descriptor that stood there before, an event loop's.
    """
    while byte := pipe.read(1):
        if former >= 0:
            with contextlib.suppress(OSError):
                os.write(former, byte)
        if byte[0] in _NUMBERS:
            return byte[0]
    return None


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
