"""The system with the true parameters, behind one small protocol: reset, step."""

from typing import NamedTuple, Protocol

import jax
import numpy as np

from mpq_jax.base.compilation import compile
from mpq_jax.dynamics import Simulator, State, with_emitters
from mpq_jax.tasks import Reading, Task


class Measurement(NamedTuple):
    """Where a real system is: what the planner starts from, and what the task reads."""

    state: State
    reading: Reading


class EpisodeEnded(Exception):
    """Raised by a real system's `step`: the episode is over, before this step."""


class RealSystem(Protocol):
    """Anything that can be driven step by step: a simulator, an environment, hardware.

    It may also have `stop()`, which brings it to rest: it is called when no control step follows
    soon, which is after each episode, and at the end of training or evaluation, however that ends:
    a signal, a failure of this or of another system, a process that is about to be gone. So it is
    called more than once; `reset` may follow. Calls come from one thread, one after the other, but
    where one hangs: after a second `stop` is then called beside it, and has two seconds.
    """

    task: Task

    def reset(self, key: jax.Array) -> Measurement:
        """Starts an episode; `key` fixes the start where the system can."""
        ...

    def step(self, action: np.ndarray) -> Measurement | None:
        """Applies an action `[nu]` in [-1, 1] for one control step, and measures after it.

        Raises:
          EpisodeEnded: where the episode is to end before this step. Any other exception, and None,
            is a failure: the episode ends there too, and `training.real_system_retries` counts it.
        """
        ...


class SimulatedSystem:
    """A `Simulator` behind the protocol: what `run_episode` scans, one step at a time."""

    def __init__(self, simulator: Simulator):
        self.task = simulator.task
        model = simulator.true_model()

        def reset(key):
            state = simulator.state(simulator.task.reset(key))
            return Measurement(state, simulator.read(model, state))

        def step(state, action):
            following, _ = simulator.step(model, state, action)
            return Measurement(following, simulator.read(model, following))

        key = jax.random.key(0)
        emitters = with_emitters(simulator)
        self._reset = compile(reset, key, fusion_emitters=emitters)
        state = jax.eval_shape(reset, key).state
        action = jax.ShapeDtypeStruct((simulator.action_size,), np.float32)
        self._step = compile(step, state, action, fusion_emitters=emitters)
        self._state: State | None = None

    def reset(self, key: jax.Array) -> Measurement:
        return self._measured(self._reset(key))

    def step(self, action: np.ndarray) -> Measurement:
        if self._state is None:
            raise RuntimeError('step before reset: call reset(key) first')
        return self._measured(self._step(self._state, np.asarray(action, np.float32)))

    def _measured(self, measurement: Measurement) -> Measurement:
        self._state = measurement.state
        return measurement
