"""The compiled programs of a run: written for one member, vmapped over the batch, compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.base.validation import check_choice
from mpq_jax.config import Config
from mpq_jax.dynamics import Model, Simulator
from mpq_jax.dynamics.randomization import dr_models, planner_models, stacked
from mpq_jax.environments.episode import Summary
from mpq_jax.learning.learner import LearnMetrics
from mpq_jax.learning.workload import Workload
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.training import member, memory
from mpq_jax.training.batch import Layout, Numbers, stacked_numbers
from mpq_jax.training.member import SeedState


@dataclasses.dataclass(eq=False)
class Programs:
    """What a run calls. Each is compiled on first use, for its one shape, and never again."""

    config: Config  # with its chunks chosen
    members: list[Config]  # one variant and one seed each
    agent: Agent
    real: Simulator
    layout: Layout
    members_at_once: int = 0  # on a device; 0: all
    on_compile: Callable[[str], None] = lambda name: None  # called before each compilation
    on_failure: Callable[[str], None] = print  # called with what failed and is tried again
    on_step: Callable[[str], None] = lambda text: None  # called as a driven episode goes on
    compiled: dict[str, CompiledFunction] = dataclasses.field(default_factory=dict)

    @property
    def compile_seconds(self) -> float:
        return sum(program.compile_seconds for program in self.compiled.values())

    @functools.cached_property
    def workload(self) -> Workload:
        """The model steps of the run, and what it compiles."""
        return Workload.of(self.config, self.real.task, self.agent.simulator.steps_per_control)

    @functools.cached_property
    def numbers(self) -> Numbers:
        """What members differ in, placed on the devices."""
        return self.layout.placed(stacked_numbers(self.members))

    @functools.cached_property
    def plants(self) -> Model:
        """The systems `[B, M]` that Q's data come from; () for the real one."""
        if self.config.q_data == 'real' or not self.real.task.parameters:
            return ()
        return self.layout.placed(stacked(dr_models, self.members, self.real, self._seed_keys))

    def initial_state(self) -> SeedState:
        """The state of every member before its first episode."""
        self.state_shapes()
        return self._call('init', self._init, *self.layout.placed(self._init_args()))

    def state_shapes(self) -> SeedState:
        """Shapes and types of that state, unpadded, without computing it.

        Raises:
          ConfigError: it would not fit in memory.
        """
        shapes = jax.eval_shape(self._init, *self._init_args())
        memory.check_state(self.config, shapes)
        return shapes

    def collect(self, state: SeedState, episode: int) -> tuple[SeedState, Summary]:
        """One training episode a member, into the buffer."""
        state, summary = self._call(
            'collect', self._collect, self.numbers, state, self.plants, jnp.int32(episode),
            replicated=(3,), donate=(1,),
        )  # fmt: skip
        return state, self.layout.trimmed(summary)

    def learn(self, state: SeedState, episode: int) -> tuple[SeedState, LearnMetrics]:
        """One learning round a member."""
        state, metrics = self._call(
            'learn', self._learn, self.numbers, state, jnp.int32(episode),
            replicated=(2,), donate=(1,),
        )  # fmt: skip
        return state, self.layout.trimmed(metrics)

    def keep_best(self, state: SeedState, returns: np.ndarray) -> SeedState:
        """Validation returns `[B, E]`: each member's best parameters; see `member.keep_best`."""
        returns = self.layout.placed(np.asarray(returns, np.float32))
        return self._call('keep best', jax.vmap(member.keep_best), state, returns)

    def play(self, purpose: str, state: SeedState, q_params: QParams, episodes):
        """Episodes `[E]` a member without learning, as one batch.

        Args:
          purpose: the stream of start states: 'train', 'validation' or 'test'. Tests are on the
            real system, the others on what Q's data come from.
          state: of every member.
          q_params: with the leading batch axis.
          episodes: their numbers; the same number always starts in the same state.

        Returns:
          Summaries `[B, E]`, and the transitions `[T]` of the first member's first episode.
        """
        fn = functools.partial(self._play, self.config.stream(purpose))
        which = np.asarray(episodes, np.int32)
        plants = () if purpose == 'test' else self.plants
        summary, recorded = self._call(
            f'play {purpose} {len(which)}', fn, self.numbers, state.key, state.models, q_params,
            plants, which, replicated=(5,),
        )  # fmt: skip
        return self.layout.trimmed(summary), jax.tree.map(lambda x: x[0], recorded)

    def parameters(self, state: SeedState, which: str) -> QParams:
        """A run's 'last' parameters, or the 'best' by validation (the last where there was none).

        Raises:
          ConfigError: another word.
        """
        check_choice('parameters', which, ('best', 'last'))
        if not self.config.learns:
            return ()
        if which == 'last':
            return state.learner.params

        return jax.vmap(member.best_params)(state)

    def episodes_at_once(self, wanted: int) -> int:
        """How many episodes a member `play` should get: what fits, and soon comes back."""
        batch = self.layout.per_device
        steps = batch * self.real.task.episode_steps * max(1, self.workload.per_action)
        wanted = min(wanted, memory.blocks_of(steps))
        return memory.plans_at_once(self.config, self.agent.simulator, wanted, batch)

    def close(self) -> None:
        """Lets go of what is driven from outside; called at the end, or more than once."""

    # The functions of one batch: `vmap` over its members stands here and nowhere else.

    def _init(self, numbers: Numbers, seed_keys, models) -> SeedState:
        if not self.config.learns:
            return jax.vmap(member.actor)(seed_keys, models)
        novice = functools.partial(member.novice, self.config, self.agent, self.real)
        return jax.vmap(novice)(numbers, seed_keys, models)

    def _collect(self, numbers: Numbers, state: SeedState, plants: Model, episode):
        def one(item: tuple[Numbers, SeedState, Model]):
            stream, keep_plans = self.config.stream('train'), self.config.learner.warm_start
            return member.collect(self.agent, self.real, stream, keep_plans, *item, episode)

        return map_in_chunks(one, (numbers, state, plants), self.members_at_once)

    def _learn(self, numbers: Numbers, state: SeedState, episode):
        def one(item: tuple[Numbers, SeedState]):
            return member.learn(self.agent, *item, episode)

        return map_in_chunks(one, (numbers, state), self.members_at_once)

    def _play(self, stream: str, numbers: Numbers, seed_keys, models, q_params, plants, episodes):
        def one(item):
            return member.play(self.agent, self.real, stream, *item)

        # Members and episodes share one batch axis: a second vmap costs seconds of tracing.
        members, count = seed_keys.shape[0], episodes.shape[0]
        of_members = numbers, seed_keys, models, q_params, plants
        repeated = jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), of_members)
        items = *repeated, jnp.tile(episodes, members)
        result = map_in_chunks(one, items, self.members_at_once * count)
        summary = jax.tree.map(lambda x: x.reshape(members, count), result.summary)
        return summary, jax.tree.map(lambda x: x[:1], result.transitions)

    def _init_args(self):
        seed_keys, simulator = self._seed_keys, self.agent.simulator
        models = stacked(planner_models, self.members, simulator, seed_keys)
        return stacked_numbers(self.members), seed_keys, models

    @property
    def _seed_keys(self) -> jax.Array:
        return keys.seed_keys([config.seed for config in self.members])

    def _call(
        self, name: str, fn, *args, replicated: tuple[int, ...] = (), donate: tuple[int, ...] = ()
    ) -> Any:
        if name not in self.compiled:
            self.on_compile(name)
            split = self.layout.split(fn, replicated, len(args))
            self.compiled[name] = compile(
                split, *args, name=name, donate=donate, out_shardings=self.layout.sharding
            )
        return self.compiled[name](*args)
