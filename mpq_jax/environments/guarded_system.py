"""A real system that may fail: exceptions, time-outs and wrong shapes end an episode, not a run."""

import contextlib
import math
import queue
import threading
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from mpq_jax.base.validation import RunError
from mpq_jax.dynamics import State
from mpq_jax.environments.real_system import EpisodeEnded, Measurement, RealSystem

# What a system has before others are let go on: for the call under way, and to come to rest.
_CALL_SECONDS, _STOP_SECONDS = 1.0, 2.0


class RealSystemError(RunError):
    """A real system failed more often in a row than training.real_system_retries allows."""


class GuardedSystem:
    """Calls a real system in a thread of its own, for so long, and counts its failures in a row.

    A call that hangs is never joined by a second one: the next waits for its end first.
    """

    def __init__(
        self,
        system: RealSystem,
        name: str,
        template: Measurement,
        timeout: float,
        retries: int,
        say: Callable[[str], None],
    ):
        """`template` has the shapes and types of a measurement; `timeout` in seconds, 0: none."""
        self.task = system.task
        self._system, self._name, self._template = system, name, template
        self._timeout, self._retries, self._say = timeout or None, retries, say
        self._failures = 0  # since the last episode without one
        self._calls: queue.Queue = queue.Queue()
        self._results: queue.Queue = queue.Queue()
        self._number = 0
        self._ended_well = False
        self._closed, self._free = threading.Event(), threading.Event()
        self._closing = threading.Lock()
        self._server = threading.Thread(target=self._serve, daemon=True, name=name)
        self._server.start()

    def reset(self, key: jax.Array) -> Measurement:
        """Starts an episode, again and again where that fails.

        Raises:
          RealSystemError: it failed too often.
        """
        if self._ended_well:
            self._failures = 0
        self._ended_well = True
        while True:
            measurement = self._tried('reset', key)
            if measurement is None:
                continue
            if all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(measurement)):
                return measurement
            self._failed('reset', ValueError('a measurement that is not finite'))

    def step(self, action: np.ndarray) -> Measurement | None:
        """The measurement after a control step; None: the episode is over, or that failed.

        Raises:
          RealSystemError: it failed too often.
        """
        return self._tried('step', action)

    @property
    def own_return(self) -> float:
        """The episode's return by the system's own rewards; NaN where it has none."""
        return getattr(self._system, 'own_return', math.nan)

    @property
    def own_terminated(self) -> float:
        """Whether it ended by a rule of the system itself; NaN where it does not say."""
        return getattr(self._system, 'own_terminated', math.nan)

    @property
    def draw(self) -> Callable[[State], np.ndarray] | None:
        """The system's own, where it draws itself."""
        return getattr(self._system, 'draw', None)

    def stop(self) -> None:
        """Brings the system to rest, where it can, before its next call; does not wait for it."""
        self._calls.put((math.inf, 'stop', None))

    def close(self) -> None:
        """Brings the system to rest for good, whatever it is doing, within three seconds.

        Calls from now on, and one that waits for its answer, raise RealSystemError.
        """
        with self._closing:  # who comes second leaves when the system rests
            if self._closed.is_set():
                return
            self._closed.set()
            self._calls.put((math.inf, 'stop', None))
            self._results.put((math.inf, None, self._refusal()))
            stopping = self._server
            if not self._free.wait(_CALL_SECONDS):
                stopping = threading.Thread(target=self._stop, daemon=True)
                stopping.start()
            stopping.join(_STOP_SECONDS)
            if stopping.is_alive():
                self._say(f'{self._name}: stop failed (no answer within {_STOP_SECONDS:g} s)')

    def _stop(self) -> None:
        stop = getattr(self._system, 'stop', None)
        try:
            if stop is not None:
                stop()
        except BaseException as error:  # is not to hide why it was called
            self._say(f'{self._name}: stop failed ({type(error).__name__}: {error})')

    def _let_go(self) -> None:
        close = getattr(self._system, 'close', None)
        if close is not None:
            with contextlib.suppress(Exception):  # it rests already
                close()

    def _refusal(self) -> RealSystemError:
        return RealSystemError(f'{self._name} was stopped: nothing drives it any more')

    def _tried(self, method: str, argument) -> Measurement | None:
        if self._closed.is_set():
            raise self._refusal()
        self._number += 1
        self._calls.put((self._number, method, argument))
        try:
            return self._checked(self._result(method))
        except RealSystemError:
            raise
        except Exception as error:  # whatever a user's system raises
            if not (method == 'step' and isinstance(error, EpisodeEnded)):
                self._failed(method, error)
            return None

    def _result(self, method: str) -> Any:
        while True:
            try:
                number, result, error = self._results.get(timeout=self._timeout)
            except queue.Empty:
                raise TimeoutError(
                    f'no answer within training.real_system_timeout = {self._timeout:g} s'
                ) from None
            if number < self._number:
                continue  # the late answer to a call that was given up
            if isinstance(error, RealSystemError):
                self._results.put((number, None, error))  # for all who wait
            if error is not None:
                raise error
            return result

    def _serve(self) -> None:
        while True:
            number, method, argument = self._calls.get()
            if self._closed.is_set():  # what was asked before moves nothing now
                break
            if method == 'stop':
                self._stop()
                continue
            if number < self._number:
                continue
            try:
                self._results.put((number, getattr(self._system, method)(argument), None))
            except BaseException as error:
                self._results.put((number, None, error))
        self._free.set()
        self._stop()
        self._let_go()

    def _checked(self, measurement: Measurement) -> Measurement:
        """Of the template's types. Raises ValueError naming what has another shape."""
        if measurement is None:
            raise ValueError(
                'it returned None: is a `return` missing? An episode ends with EpisodeEnded'
            )
        given = dict(_named(measurement))
        wanted = dict(_named(self._template))
        for name, like in wanted.items():
            shape = np.shape(given[name]) if name in given else None
            if shape != like.shape:
                raise ValueError(f'{name} has shape {shape}: it must be {like.shape}')
        if extra := sorted(given.keys() - wanted.keys()):
            raise ValueError(f'{extra[0]} is not among {", ".join(wanted)}')
        return jax.tree.map(lambda like, x: np.array(x, like.dtype), self._template, measurement)

    def _failed(self, method: str, error: Exception) -> None:
        self._failures += 1
        self._ended_well = False
        what = f'{self._name}: {method} failed ({type(error).__name__}: {error})'
        if self._failures > self._retries:
            raise RealSystemError(
                f'{what}, {self._failures} times in a row: '
                f'training.real_system_retries = {self._retries}'
            ) from error
        self._say(f'{what}; retry {self._failures} of {self._retries}, from reset')


def _named(measurement: Measurement):
    for path, leaf in jax.tree_util.tree_leaves_with_path(measurement):
        yield jax.tree_util.keystr(path, simple=True, separator='.'), leaf
