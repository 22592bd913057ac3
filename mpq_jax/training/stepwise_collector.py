"""Episodes on real systems that JAX cannot trace: one control step after the other, one device."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.compilation import CompiledFunction
from mpq_jax.dynamics import Model, State, with_emitters
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.environments.episode import Episode, Summary
from mpq_jax.environments.stepwise import StepwiseRunner, compile_step
from mpq_jax.environments.system_pool import SystemPool
from mpq_jax.learning.algorithm import Algorithm, MemberState, Numbers
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.mixing import at_end, at_episode
from mpq_jax.training.layout import BatchCompiler


@dataclasses.dataclass(eq=False)
class StepwiseCollector:
    """See `programs.Collector`."""

    algorithm: Algorithm
    systems: SystemPool
    compiler: BatchCompiler
    _runners: dict[str, StepwiseRunner] = dataclasses.field(default_factory=dict)

    def collect(
        self, stream: str, numbers: Numbers, state: MemberState, plants: Model, episode: int
    ) -> tuple[MemberState, Summary]:
        algorithm = self.algorithm
        assert algorithm.store is not None
        result = self._episodes(
            algorithm.collects(episode), 'train', stream, numbers, state, algorithm.params(state),
            np.array([episode], np.int32), algorithm.keep_plans, at_episode,
        )  # fmt: skip
        state = self.compiler.call(
            'store', jax.vmap(algorithm.store), state, result.transitions, result.valid,
            donate=(0,),
        )  # fmt: skip
        return state, result.summary

    def play(
        self, name: str, stream: str, numbers: Numbers, state: MemberState, q_params: QParams,
        plants: Model, episodes: np.ndarray,
    ):  # fmt: skip
        # As many at once as there are systems.
        blocks = np.split(episodes, len(episodes)) if self.systems.are_own else [episodes]
        played = [
            self._episodes(self.algorithm.play, name, stream, numbers, state, q_params, block)
            for block in blocks
        ]
        members = state.key.shape[0]
        shaped = [
            jax.tree.map(lambda x: x.reshape(members, -1), episode.summary) for episode in played
        ]
        joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1), *shaped)
        return joined, jax.tree.map(lambda x: x[0], played[0].transitions)

    def most_at_once(self, members: int) -> int | None:
        return self.systems.most_episodes(members)

    def renderer(self) -> Callable[[State], np.ndarray] | None:
        return self.systems.renderer()

    def close(self) -> None:
        self.systems.close()

    def _episodes(
        self, agent: Agent, name: str, stream: str, numbers: Numbers, state: MemberState,
        q_params: QParams, episodes: np.ndarray, keep_plans: bool = False, planned=at_end,
    ) -> Episode:  # fmt: skip
        """Members and episodes on one axis `[B * E]`, each with a system of its own.

        `planned` is the planner's config in an episode.
        """
        of_members = numbers, state.key, state.models, q_params
        items = jax.tree.map(lambda x: jnp.repeat(x, len(episodes), axis=0), of_members)
        numbers, seed_keys, models, q_params = items
        which = np.tile(episodes, state.key.shape[0])
        models, episode_keys, planner = self.compiler.call(
            f'draw {name} {len(which)}', functools.partial(_drawn, stream, planned), numbers,
            seed_keys, models, which,
        )  # fmt: skip
        runner = self._runner(agent, len(which), numbers, q_params, models)
        try:
            return runner.run(
                planner, q_params, models, self.systems.take(len(which)), episode_keys,
                keep_plans, self.compiler.hooks.on_step,
            )  # fmt: skip
        except BaseException:  # before anything is saved or said: the others still move
            self.close()
            raise

    def _runner(
        self, agent: Agent, size: int, numbers: Numbers, q_params: QParams, models
    ) -> StepwiseRunner:
        """Compiled once for each number of systems; those of one agent share their programs."""
        act = 'act without learning'
        if agent in (self.algorithm.collect, self.algorithm.explore):
            act = 'act' if agent is self.algorithm.collect else 'explore'
        if f'{act} {size}' not in self._runners:
            emitters = with_emitters(agent.simulator)
            compile_one = functools.partial(self._compile_step, act, emitters)
            runner = StepwiseRunner(numbers.planner, agent, q_params, models, compile_one)
            if self.systems.are_own and agent.simulator.task.terminated is not None:
                for smaller in range(1, size.bit_length()):  # not while a robot moves
                    runner.program_of(size >> smaller)
            self._runners[f'{act} {size}'] = runner
        return self._runners[f'{act} {size}']

    def _compile_step(
        self, act: str, emitters: bool, control_step, shapes, size: int
    ) -> CompiledFunction:
        """The programs of members that go on are those of fewer systems."""
        name, compiler = f'{act} {size}', self.compiler
        if name not in compiler.compiled:
            compiler.hooks.on_compile(name)
            compiler.compiled[name] = compile_step(control_step, shapes, size, emitters)
        return compiler.compiled[name]


def _drawn(stream: str, planned, numbers: Numbers, seed_keys, models, episodes):
    """The models, the key and the planner's config of each episode."""

    def one(numbers, key, models, episode):
        drawn = episode_models(numbers.belief, models, key, episode)
        return drawn, keys.stream(key, stream, episode), planned(numbers.planner, episode)

    return jax.vmap(one)(numbers, seed_keys, models, episodes)
