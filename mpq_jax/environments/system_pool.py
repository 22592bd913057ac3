"""The real systems that a run drives: somebody's own, or as many as are asked for, made by name."""

import functools
import threading
from collections.abc import Callable, Sequence

import jax
import numpy as np

from mpq_jax.config import Config
from mpq_jax.dynamics import State
from mpq_jax.environments.guarded_system import GuardedSystem
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.environments.registry import system_maker
from mpq_jax.environments.stepwise import measured_start
from mpq_jax.planning.agent import Agent


class SystemPool:
    """Systems `[S]`, all of them brought to rest by `close`."""

    def __init__(
        self,
        config: Config,
        agent: Agent,
        own: Sequence[RealSystem],
        on_failure: Callable[[str], None],
    ):
        """Nothing is made or driven yet.

        Args:
          config: names the kind of system, its physics, how long to wait for one's own.
          agent: on whose task.
          own: systems of somebody's own, one a member; the config's if none.
          on_failure: called with what failed and is tried again.
        """
        self._config, self._task = config, agent.simulator.task
        self._measured = functools.partial(measured_start, agent)
        self._on_failure = on_failure
        self._own = self._guard(own)
        self._made: list[RealSystem] = []

    def _guard(self, systems: Sequence[RealSystem], first: int = 0) -> list[GuardedSystem]:
        settings = self._config.training
        if not systems:
            return []
        template = jax.eval_shape(self._measured, jax.random.key(0))
        return [
            GuardedSystem(
                system, f'real system {i}', template,
                settings.real_system_timeout, settings.real_system_retries, self._on_failure,
            )
            for i, system in enumerate(systems, first)
        ]  # fmt: skip

    @property
    def are_own(self) -> bool:
        return bool(self._own)

    def most_episodes(self, members: int) -> int:
        """How many episodes a member can be driven at once: of one's own system, one."""
        maker = system_maker(self._config.real_system)
        return 1 if maker is None else max(1, maker.most // members)

    def take(self, count: int) -> Sequence[RealSystem]:
        """So many of them; of one's own, all there are."""
        if self._own:
            return self._own
        missing = count - len(self._made)
        if missing > 0:
            maker = system_maker(self._config.real_system)
            assert maker is not None  # of one's own there are as many as there will be
            made = maker.make(self._task, self._config.real_physics, missing)
            self._made.extend(self._guard(made, len(self._made)) if maker.guarded else made)
        return self._made[:count]

    def renderer(self) -> Callable[[State], np.ndarray] | None:
        """By which a system that was made draws a state; None where it cannot."""
        return getattr(self._made[0], 'draw', None) if self._made else None

    def close(self) -> None:
        """Brings every system to rest, in parallel; own ones are not driven after that."""
        made, self._made = self._made, []
        closing: list[Callable[[], None]] = [
            system.close if isinstance(system, GuardedSystem) else system.stop
            for system in (*self._own, *made)
            if hasattr(system, 'stop')
        ]
        threads = [threading.Thread(target=close, daemon=True) for close in closing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
