"""The compiled programs of a run: written for one member, vmapped over the batch, compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.machine import operations_per_second
from mpq_jax.base.validation import check_choice
from mpq_jax.config import Batch, Config
from mpq_jax.dynamics import Model, Simulator, State, with_emitters
from mpq_jax.dynamics.randomization import dr_models, planner_models, stacked
from mpq_jax.environments.episode import Summary, example_transition
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.algorithms import algorithm_maker
from mpq_jax.learning.best_parameters import best_params, keep_best, none_yet
from mpq_jax.learning.workload import Workload
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.training import memory
from mpq_jax.training.layout import BatchCompiler, stacked_numbers


class Collector(Protocol):
    """How episodes come to be: one scan each, or step by step. Every argument has the batch axis.

    Of both calls: `stream` is that of the start states, `plants` `[B, M]` are the systems that
    Q's data come from, () for the real one.
    """

    def collect(
        self, stream: str, numbers: Numbers, state: MemberState, plants: Model, episode: int
    ) -> tuple[MemberState, Summary]:
        """One training episode a member, into its state, whose memory it takes over."""

    def play(
        self, name: str, stream: str, numbers: Numbers, state: MemberState, q_params: QParams,
        plants: Model, episodes: np.ndarray,
    ):  # fmt: skip
        """As `Programs.play`, under a program's name."""

    def most_at_once(self, members: int) -> int | None:
        """How many episodes a member `play` can take; None: any."""

    def renderer(self) -> Callable[[State], np.ndarray] | None:
        """A picture of a state by a system that is driven and draws itself; None: it does not."""

    def close(self) -> None:
        """Lets go of what is driven from outside; called at the end, or more than once."""


@dataclasses.dataclass(eq=False)
class Programs:
    """What a run calls. Each is compiled on first use, for its one shape, and never again."""

    batch: Batch  # its config with the chunks chosen
    members: list[Config]  # one variant and one seed each
    algorithm: Algorithm
    real: Simulator
    compiler: BatchCompiler
    collector: Collector
    members_at_once: int = 0  # on a device; 0: all

    @property
    def config(self) -> Config:
        """What all members share."""
        return self.batch.config

    @property
    def agent(self) -> Agent:
        """Who acts when nothing is collected."""
        return self.algorithm.play

    @property
    def physics(self) -> dict[str, str]:
        """Who runs on which physics."""
        driven = self.config.real_system
        real = self.real.description if driven == 'simulated' else driven
        if not self.config.plans:
            return {'real system': real}
        planner, sharing = self.agent.simulator.description, self.compiler.layout.spread.devices
        shared = f', samples over {sharing} devices' if sharing > 1 else ''
        return {'planner': planner + shared, 'real system': real}

    @property
    def compile_seconds(self) -> float:
        return sum(program.compile_seconds for program in self.compiler.compiled.values())

    @functools.cached_property
    def workload(self) -> Workload:
        """The model steps of the run, and what it compiles."""
        return Workload.of(self.batch, self.real.task, self.agent.simulator.steps_per_control)

    @property
    def steps_per_play(self) -> int:
        """Model steps in a control step of who plays; who collects may take more."""
        return self.workload.per_action if self.agent.planner else 0

    def hours_foretold(self) -> str:
        """How long networks will keep this machine busy; empty where that is not known."""
        operations = algorithm_maker(self.config).operations
        if operations is None:
            return ''
        steps = self.real.task.episode_steps
        total = len(self.members) * operations(self.config, self.state_shapes(), steps)
        rate = operations_per_second()
        return (
            f'{total:.1e} operations of networks if all episodes are whole, '
            f'{total / rate / 3600:.2g} h at {rate / 1e9:.0f} G/s, the rate of matrix products here'
        )

    @functools.cached_property
    def numbers(self) -> Numbers:
        """What members differ in, placed on the devices."""
        return self.compiler.layout.placed(stacked_numbers(self.members))

    @functools.cached_property
    def plants(self) -> Model:
        """The systems `[B, M]` that Q's data come from; () for the real one."""
        if self.config.q_data == 'real' or not self.real.task.parameters:
            return ()
        models = stacked(dr_models, self.members, self.real, self._seed_keys)
        return self.compiler.layout.placed(models)

    def initial_state(self) -> MemberState:
        """The state of every member before its first episode."""
        self.state_shapes()
        layout = self.compiler.layout
        state = self.compiler.call('init', self._init, *layout.placed(self._init_args()))
        if self.algorithm.bring is None:
            return state
        brought = self.algorithm.bring(jax.device_get(layout.trimmed(state)))
        return layout.placed(jax.tree.map(jnp.asarray, brought))  # from one device to all

    def state_shapes(self) -> MemberState:
        """Shapes and types of that state, unpadded, without computing it.

        Raises:
          ConfigError: it would not fit in memory.
        """
        shapes = jax.eval_shape(self._init, *self._init_args())
        memory.check_state(self.config, len(self.members), shapes)
        return shapes

    def collect(self, state: MemberState, episode: int) -> tuple[MemberState, Summary]:
        """One training episode a member, into its state; the summaries `[B]`."""
        stream = self.config.stream('train')
        return self.collector.collect(stream, self.numbers, state, self.plants, episode)

    def learn(self, state: MemberState, episode: int) -> tuple[MemberState, Metrics]:
        """One learning round a member."""
        state, metrics = self.compiler.call(
            'learn', self._learn, self.numbers, state, jnp.int32(episode),
            replicated=(2,), donate=(1,), fusion_emitters=with_emitters(self.agent.simulator),
        )  # fmt: skip
        return state, self.compiler.layout.trimmed(metrics)

    def keep_best(self, state: MemberState, returns: np.ndarray) -> MemberState:
        """Validation returns `[B, E]`: each member's best parameters; see `best_parameters`."""
        returns = self.compiler.layout.placed(np.asarray(returns, np.float32))
        keep = jax.vmap(functools.partial(keep_best, self.algorithm))
        return self.compiler.call('keep best', keep, state, returns)

    def play(self, purpose: str, state: MemberState, q_params: QParams, episodes):
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
        plants = () if purpose == 'test' else self.plants
        return self.collector.play(
            purpose, self.config.stream(purpose), self.numbers, state, q_params, plants,
            np.asarray(episodes, np.int32),
        )  # fmt: skip

    def parameters(self, state: MemberState, which: str) -> QParams:
        """A run's 'last' parameters, or the 'best' by validation (the last where there was none).

        Raises:
          ConfigError: another word.
        """
        check_choice('parameters', which, ('best', 'last'))
        if which == 'last' or not self.config.learns_q:
            return self.algorithm.params(state)
        return jax.vmap(functools.partial(best_params, self.algorithm))(state)

    def episodes_at_once(self, wanted: int) -> int:
        """How many episodes a member `play` should get: what fits, and soon comes back."""
        most = self.collector.most_at_once(len(self.members))
        batch = self.compiler.layout.per_device
        steps = batch * self.real.task.episode_steps * max(1, self.steps_per_play)
        wanted = min(wanted, memory.blocks_of(steps))
        fitting = memory.plans_at_once(self.config, self.agent.simulator, wanted, batch)
        return fitting if most is None else min(fitting, most)

    # The functions of one batch: `vmap` over its members stands here and in the collectors.

    def _init(self, numbers: Numbers, seed_keys, models) -> MemberState:
        kept = self.algorithm.keep_plans
        plan = self.algorithm.collect.first_plan(self.config.planner) if kept else ()
        transition = example_transition(self.real, plan)

        def one(numbers, key, models):
            state = self.algorithm.init(numbers, key, models, transition)
            if self.algorithm.update is None:
                return state
            return none_yet(self.algorithm, state, self.config.training.validation_episodes)

        return jax.vmap(one)(numbers, seed_keys, models)

    def _learn(self, numbers: Numbers, state: MemberState, episode):
        update = self.algorithm.update
        assert update is not None

        def one(item: tuple[Numbers, MemberState]):
            return update(*item, episode)

        return map_in_chunks(one, (numbers, state), self.members_at_once)

    def _init_args(self):
        seed_keys, simulator = self._seed_keys, self.agent.simulator
        models = stacked(planner_models, self.members, simulator, seed_keys)
        return stacked_numbers(self.members), seed_keys, models

    @property
    def _seed_keys(self) -> jax.Array:
        return keys.seed_keys([config.seed for config in self.members])
