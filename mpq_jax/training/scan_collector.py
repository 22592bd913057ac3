"""Episodes on a real system that is itself JAX: each one scan, all members one program."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.dynamics import Model, Simulator, with_emitters
from mpq_jax.dynamics.randomization import episode_models
from mpq_jax.environments.episode import Summary, run_episode
from mpq_jax.learning.algorithm import Algorithm, MemberState, Numbers
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.mixing import at_end, at_episode
from mpq_jax.training.layout import BatchCompiler


@dataclasses.dataclass(frozen=True, eq=False)
class ScanCollector:
    """See `programs.Collector`."""

    algorithm: Algorithm
    real: Simulator
    compiler: BatchCompiler
    members_at_once: int = 0  # on a device; 0: all

    def collect(
        self, stream: str, numbers: Numbers, state: MemberState, plants: Model, episode: int
    ) -> tuple[MemberState, Summary]:
        agent = self.algorithm.collects(episode)
        name = 'collect' if agent is self.algorithm.collect else 'explore'
        state, summary = self.compiler.call(
            name, functools.partial(self._collect, agent, stream), numbers, state, plants,
            jnp.int32(episode), replicated=(3,), donate=(1,),
            fusion_emitters=with_emitters(agent.simulator, self.real),
        )  # fmt: skip
        return state, self.compiler.layout.trimmed(summary)

    def play(
        self, name: str, stream: str, numbers: Numbers, state: MemberState, q_params: QParams,
        plants: Model, episodes: np.ndarray,
    ):  # fmt: skip
        summary, recorded = self.compiler.call(
            f'play {name} {len(episodes)}', functools.partial(self._play, stream), numbers,
            state.key, state.models, q_params, plants, episodes, replicated=(5,),
            fusion_emitters=with_emitters(self.algorithm.play.simulator, self.real),
        )  # fmt: skip
        return self.compiler.layout.trimmed(summary), jax.tree.map(lambda x: x[0], recorded)

    def most_at_once(self, members: int) -> int | None:
        return None

    def close(self) -> None: ...

    # The functions of one batch: `vmap` over its members stands here and in `Programs`.

    def _collect(
        self, agent: Agent, stream: str, numbers: Numbers, state: MemberState, plants: Model,
        episode,
    ):  # fmt: skip
        algorithm, store = self.algorithm, self.algorithm.store
        assert store is not None

        def one(item: tuple[Numbers, MemberState, Model]):
            numbers, state, plants = item
            models = episode_models(numbers.belief, state.models, state.key, episode)
            result = run_episode(
                at_episode(numbers.planner, episode), agent, self.real,
                algorithm.params(state), models,
                keys.stream(state.key, stream, episode), plants, keep_plans=algorithm.keep_plans,
            )  # fmt: skip
            return store(state, result.transitions, result.valid), result.summary

        return map_in_chunks(one, (numbers, state, plants), self.members_at_once)

    def renderer(self) -> None:
        return None

    def _play(self, stream: str, numbers: Numbers, seed_keys, models, q_params, plants, episodes):
        def one(item):
            numbers, key, models, q_params, plants, episode = item
            models = episode_models(numbers.belief, models, key, episode)
            key = keys.stream(key, stream, episode)
            agent = self.algorithm.play
            planner = at_end(numbers.planner)
            return run_episode(planner, agent, self.real, q_params, models, key, plants)

        # Members and episodes share one batch axis: a second vmap costs seconds of tracing.
        members, count = seed_keys.shape[0], episodes.shape[0]
        of_members = numbers, seed_keys, models, q_params, plants
        repeated = jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), of_members)
        items = *repeated, jnp.tile(episodes, members)
        result = map_in_chunks(one, items, self.members_at_once * count)
        summary = jax.tree.map(lambda x: x.reshape(members, count), result.summary)
        return summary, jax.tree.map(lambda x: x[:1], result.transitions)
