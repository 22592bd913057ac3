"""A run's programs where JAX cannot trace the real system: one control step after the other."""

import dataclasses
import functools
import threading
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.compilation import CompiledFunction
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.environments.episode import Episode, Summary
from mpq_jax.environments.guarded_system import GuardedSystem
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.environments.registry import system_maker
from mpq_jax.environments.stepwise import StepwiseRunner, compile_step, measured_start
from mpq_jax.planning.agent import QParams
from mpq_jax.training import member
from mpq_jax.training.batch import Numbers
from mpq_jax.training.member import SeedState
from mpq_jax.training.programs import Programs


@dataclasses.dataclass(eq=False)
class StepwisePrograms(Programs):
    """The same programs, with the real system driven from outside; one device."""

    own_systems: Sequence[RealSystem] = ()  # one a member; the config's if none

    def collect(self, state: SeedState, episode: int) -> tuple[SeedState, Summary]:
        result = self._episodes('train', state, state.learner.params, [episode])
        state = self._call(
            'store', jax.vmap(member.store), state, result.transitions, result.valid, donate=(0,)
        )
        return state, result.summary

    def episodes_at_once(self, wanted: int) -> int:
        """Bounded by the systems that this makes, one a member and episode; of one's own, one."""
        maker = system_maker(self.config.real_system)
        if maker is None:
            return 1
        return min(super().episodes_at_once(wanted), max(1, maker.most // len(self.members)))

    def play(self, purpose: str, state: SeedState, q_params: QParams, episodes):
        if self.own_systems:  # as many at once as there are
            parts = [self._episodes(purpose, state, q_params, [episode]) for episode in episodes]
            joined = jax.tree.map(lambda *x: np.stack(x, axis=1), *(p.summary for p in parts))
            return joined, jax.tree.map(lambda x: x[0], parts[0].transitions)
        result = self._episodes(purpose, state, q_params, episodes)
        summary = jax.tree.map(
            lambda x: x.reshape(len(self.members), len(episodes)), result.summary
        )
        return summary, jax.tree.map(lambda x: x[0], result.transitions)

    def _episodes(self, purpose: str, state: SeedState, q_params: QParams, episodes) -> Episode:
        """Members and episodes on one axis `[B * E]`, each with a system of its own."""
        which = np.asarray(episodes, np.int32)
        of_members = self.numbers, state.key, state.models, q_params
        items = jax.tree.map(lambda x: jnp.repeat(x, len(which), axis=0), of_members)
        numbers, seed_keys, models, q_params = items
        which = np.tile(which, len(self.members))
        draw = functools.partial(_drawn, self.config.stream(purpose))
        models, episode_keys = self._call(
            f'draw {purpose} {len(which)}', draw, numbers, seed_keys, models, which
        )
        runner = self._runner(len(which), numbers, q_params, models)
        keep_plans = purpose == 'train' and self.config.learner.warm_start
        try:
            return runner.run(
                numbers.planner, q_params, models, self._systems(len(which)), episode_keys,
                keep_plans, self.on_step,
            )  # fmt: skip
        except BaseException:  # before anything is saved or said: the others still move
            self.close()
            raise

    def close(self) -> None:
        """Brings every system to rest, in parallel; own ones are not driven after that."""
        closing: list[Callable[[], None]] = [s.close for s in self.__dict__.get('_guarded', ())]
        copies = self.__dict__.pop('_copies', ())
        closing += [copy.stop for copy in copies if hasattr(copy, 'stop')]
        threads = [threading.Thread(target=close, daemon=True) for close in closing]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _runner(self, size: int, numbers: Numbers, q_params: QParams, models) -> StepwiseRunner:
        """Compiled once for each number of systems."""
        if size not in self._runners:
            runner = StepwiseRunner(
                numbers.planner, self.agent, q_params, models, self._compile_step
            )
            if self.own_systems and self.real.task.terminated is not None:
                for smaller in range(1, size.bit_length()):  # not while a robot moves
                    runner.program_of(size >> smaller)
            self._runners[size] = runner
        return self._runners[size]

    def _compile_step(self, control_step, shapes, size: int) -> CompiledFunction:
        """Runners of different sizes share the programs of members that go on."""
        name = f'act {size}'
        if name not in self.compiled:
            self.on_compile(name)
            self.compiled[name] = compile_step(control_step, shapes, size)
        return self.compiled[name]

    @functools.cached_property
    def _runners(self) -> dict[int, StepwiseRunner]:
        return {}

    def _systems(self, count: int) -> Sequence[RealSystem]:
        if self.own_systems:
            return self._guarded
        missing = count - len(self._copies)
        if missing > 0:
            maker = system_maker(self.config.real_system)
            assert maker is not None  # of one's own there are as many as there will be
            task, physics = self.real.task, self.config.real_physics
            self._copies.extend(maker.make(task, physics, missing))
        return self._copies[:count]

    @functools.cached_property
    def _guarded(self) -> list[GuardedSystem]:
        settings = self.config.training
        template = jax.eval_shape(functools.partial(measured_start, self.agent), jax.random.key(0))
        return [
            GuardedSystem(
                system, f'real system {i}', template, settings.real_system_timeout,
                settings.real_system_retries, lambda text: self.on_failure(text),
            )
            for i, system in enumerate(self.own_systems)
        ]  # fmt: skip

    @functools.cached_property
    def _copies(self) -> list[RealSystem]:
        return []


def _drawn(stream: str, numbers: Numbers, seed_keys, models, episodes):
    """The models and the key of each episode."""

    def one(numbers, key, models, episode):
        drawn = episode_models(numbers.belief, models, key, episode)
        return drawn, keys.stream(key, stream, episode)

    return jax.vmap(one)(numbers, seed_keys, models, episodes)
