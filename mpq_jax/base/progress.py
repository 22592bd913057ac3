"""What a person sees while a run goes on: a bar in a terminal, lines elsewhere."""

import os
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

_SECONDS_BETWEEN_LINES = 10.0
_WIDTH_OF_A_LOG = 120  # columns; no table of ours needs more
_SECONDS_BETWEEN_MESSAGES = 1.0  # to another process: one can cost more than a control step


def make_bars(console: Console) -> Progress | None:
    """Bars for a terminal; None elsewhere."""
    if not console.is_terminal:
        return None
    return Progress(
        TextColumn('[bold]{task.description}'),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn('{task.fields[figures]}'),
        console=console,
    )


class Reporter:
    """Progress of one run. Compile time is told apart from run time."""

    def __init__(
        self,
        label: str,
        total: int,
        unit: str = 'episodes',
        console: Console | None = None,
        bars: Progress | None = None,
    ):
        """With `bars`, which somebody else starts and stops, it is one line among theirs."""
        self.console = console or make_console()
        self.label, self._total, self._unit = label, total, unit
        self._first = 0  # done in earlier sessions
        self._last_line = 0.0
        self._last_sign = time.perf_counter()
        self._own = bars is None
        self._bar = make_bars(self.console) if bars is None else bars
        if self._bar:
            self._task = self._bar.add_task(label, total=total, figures='')

    def __enter__(self) -> 'Reporter':
        if self._bar and self._own:
            self._bar.start()
        return self

    def __exit__(self, *_) -> None:
        if self._bar and self._own:
            self._bar.stop()
        elif self._bar:
            self._bar.remove_task(self._task)

    def start_at(self, done: int) -> None:
        """Work that was done before counts as done, not as speed."""
        self._first = done
        if self._bar:
            self._bar.update(self._task, completed=done)

    def say(self, message: str) -> None:
        self.console.print(message, markup=False)

    def compiling(self, name: str) -> None:
        if self._bar:
            self._bar.update(self._task, figures=f'compiling {name} ...')
        else:
            self.say(f'{self.label}: compiling {name} ...')

    def working(self, what: str) -> None:
        """A sign of life from inside a long piece of work, where nothing else was shown lately."""
        now = time.perf_counter()
        if now - self._last_sign < _SECONDS_BETWEEN_LINES:
            return
        self._last_sign = now
        if self._bar:
            self._bar.update(self._task, figures=what)
        else:
            self.say(f'{self.label}: {what}')

    def advance(self, done: int, figures: str, seconds: float, left: float | None = None) -> None:
        """Shows how far it is.

        Args:
          done: finished, of the total.
          figures: a short text (return, loss, speed).
          seconds: run in this session, compilation apart; the ETA follows from it.
          left: seconds to go, where more is known.
        """
        if left is None:
            left = seconds / max(done - self._first, 1) * (self._total - done)
        text = f'{figures}  run {_clock(seconds)}  eta {_clock(left)}'
        self._last_sign = now = time.perf_counter()
        if self._bar:
            self._bar.update(self._task, completed=done, figures=text)
            return
        if done >= self._total or now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self.say(f'{self.label}: {done}/{self._total} {self._unit}  {text}')


class Relay(Reporter):
    """A reporter for another process: `send(method, arguments)` carries the calls to a real one."""

    def __init__(self, label: str, send: Callable[[str, tuple], None]):
        self.label, self._send = label, send
        self._last_sign = time.perf_counter()

    def __enter__(self) -> 'Relay':
        return self

    def __exit__(self, *_) -> None:
        pass

    def start_at(self, done: int) -> None:
        self._send('start_at', (done,))

    def say(self, message: str) -> None:
        self._send('say', (message,))

    def compiling(self, name: str) -> None:
        self._send('compiling', (name,))

    def working(self, what: str) -> None:
        now = time.perf_counter()
        if now - self._last_sign >= _SECONDS_BETWEEN_MESSAGES:
            self._last_sign = now
            self._send('working', (what,))

    def advance(self, done: int, figures: str, seconds: float, left: float | None = None) -> None:
        self._send('advance', (done, figures, seconds, left))


def make_console() -> Console:
    """For this process's output; a log that no terminal measures is `_WIDTH_OF_A_LOG` wide."""
    width = None if sys.stdout.isatty() or 'COLUMNS' in os.environ else _WIDTH_OF_A_LOG
    return Console(highlight=False, soft_wrap=True, width=width)


def per_second(rate: float) -> str:
    """1234567.0 -> '1.23 M/s'."""
    for size, letter in ((1e9, 'G'), (1e6, 'M'), (1e3, 'k')):
        if rate >= size:
            return f'{rate / size:.2f} {letter}/s'
    return f'{rate:.0f} /s'


def _clock(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'
