"""The compiled programs of a run: written for one seed, vmapped over seeds here, compiled once."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax import keys, learner, memory, replay_buffer
from mpq_jax.agent import Agent, QParams, make_agent
from mpq_jax.compilation import CompiledFunction, compile
from mpq_jax.config import Config, LearnerConfig, PlannerConfig
from mpq_jax.episode import Summary, example_transition, run_episode
from mpq_jax.learner import LearnMetrics
from mpq_jax.randomization import episode_models, stacked_planner_models
from mpq_jax.simulator import Model, Simulator, make_simulator
from mpq_jax.tasks import load_task
from mpq_jax.validation import ConfigError, check_choice


class SeedState(NamedTuple):
    """All that shapes a seed's future; a run stacks them with a leading axis `[S]`."""

    key: jax.Array  # the seed's base key; streams are folded from it
    models: Model  # the planner's, leading axis D (or the bank)
    learner: Any  # LearnerState; () for an agent that does not learn
    buffer: Any  # ReplayBuffer; ()
    best_params: QParams  # of the best validation so far
    best_return: jax.Array  # -inf before the first


class Numbers(NamedTuple):
    """The configs whose leaves may differ between batch elements: leading axis `[S]`."""

    planner: PlannerConfig
    learner: LearnerConfig


@dataclasses.dataclass(eq=False)
class Programs:
    """What a run calls. Each is compiled on first use, for its one shape, and never again."""

    config: Config
    agent: Agent
    real: Simulator
    numbers: Numbers
    on_compile: Callable[[str], None] = lambda name: None  # called before each compilation
    compiled: dict[str, CompiledFunction] = dataclasses.field(default_factory=dict)

    @property
    def compile_seconds(self) -> float:
        return sum(program.compile_seconds for program in self.compiled.values())

    @property
    def model_steps_per_action(self) -> int:
        """Physics steps of the planner's models in one control step of one seed."""
        planner = self.config.planner
        plans = planner.num_samples * planner.iterations
        return plans * (planner.horizon - 1) * self.agent.simulator.steps_per_control

    @property
    def model_steps_per_round(self) -> int:
        """Physics steps of the planner's models in one learning round of one seed."""
        return learner.model_steps(self.config.planner, self.config.learner, self.agent)

    def initial_state(self) -> SeedState:
        """The state of every seed before its first episode."""
        return self._call('init', self._init, *self._init_args())

    def state_shapes(self) -> SeedState:
        """Shapes and types of that state, without computing it."""
        return jax.eval_shape(self._init, *self._init_args())

    def collect(self, state: SeedState, episode: int) -> tuple[SeedState, Summary]:
        """One training episode a seed, into the buffer."""
        return self._call('collect', self._collect, self.numbers, state, jnp.int32(episode),
                          donate=(1,))  # fmt: skip

    def learn(self, state: SeedState, episode: int) -> tuple[SeedState, LearnMetrics]:
        """One learning round a seed."""
        return self._call('learn', self._learn, self.numbers, state, jnp.int32(episode),
                          donate=(1,))  # fmt: skip

    def keep_best(self, state: SeedState, returns: np.ndarray) -> SeedState:
        """Keeps the parameters of those seeds whose validation return `[S]` is their best."""
        return self._call('keep best', _keep_best, state, jnp.asarray(returns))

    def play(self, purpose: str, state: SeedState, q_params: QParams, episodes):
        """Episodes `[E]` a seed without learning, as one batch.

        Args:
          purpose: the stream of start states: 'train', 'validation' or 'test'.
          state: of every seed.
          q_params: with the leading seed axis.
          episodes: their numbers; the same number always starts in the same state.

        Returns:
          Summaries `[S, E]`, and the transitions `[T]` of the first seed's first episode.
        """
        fn = functools.partial(self._play, purpose)
        numbers = np.asarray(episodes, np.int32)
        return self._call(f'play {purpose} {len(numbers)}', fn, self.numbers, state.key,
                          state.models, q_params, numbers)  # fmt: skip

    def parameters(self, state: SeedState, which: str) -> QParams:
        """A run's 'best' parameters by validation (the last where there was none), or the 'last'.

        Raises:
          ConfigError: another word.
        """
        check_choice('parameters', which, ('best', 'last'))
        if not self.config.learns:
            return ()
        if which == 'last':
            return state.learner.params

        def one(validated, best, last):
            return jax.tree.map(lambda b, x: jnp.where(validated, b, x), best, last)

        return jax.vmap(one)(
            jnp.isfinite(state.best_return), state.best_params, state.learner.params
        )

    def episodes_at_once(self, wanted: int) -> int:
        """How many episodes a seed `play` should get, by memory."""
        batch = self.config.num_seeds
        return memory.plans_at_once(self.config, self.agent.simulator, wanted, batch)

    # The functions of one batch: `vmap` over seeds stands here and nowhere else.

    def _init(self, numbers: Numbers, seed_keys, models) -> SeedState:
        def one(numbers: Numbers, key, models):
            if not self.config.learns:
                return SeedState(key, models, (), (), (), jnp.float32(-jnp.inf))
            transition = example_transition(self.real)
            observation = jnp.zeros(transition.observation.shape)
            network_key = keys.stream(key, 'network')
            state = learner.init(numbers.learner, self.agent, observation, network_key)
            buffer = replay_buffer.empty(transition, self.config.learner.buffer_capacity)
            return SeedState(key, models, state, buffer, state.params, jnp.float32(-jnp.inf))

        return jax.vmap(one)(numbers, seed_keys, models)

    def _collect(self, numbers: Numbers, state: SeedState, episode):
        def one(numbers: Numbers, state: SeedState):
            models = episode_models(numbers.planner, state.models, state.key, episode)
            result = run_episode(
                numbers.planner, self.agent, self.real, state.learner.params, models,
                keys.stream(state.key, 'train', episode),
            )  # fmt: skip
            buffer = replay_buffer.add(state.buffer, result.transitions, result.valid)
            return state._replace(buffer=buffer), result.summary

        return jax.vmap(one)(numbers, state)

    def _learn(self, numbers: Numbers, state: SeedState, episode):
        def one(numbers: Numbers, state: SeedState):
            models = episode_models(numbers.planner, state.models, state.key, episode)
            learned, metrics = learner.learn(
                numbers.planner, numbers.learner, self.agent, models, state.learner, state.buffer,
                keys.stream(state.key, 'learn', episode),
            )  # fmt: skip
            return state._replace(learner=learned), metrics

        return jax.vmap(one)(numbers, state)

    def _play(self, purpose: str, numbers: Numbers, seed_keys, models, q_params, episodes):
        def one(numbers: Numbers, key, models, q_params, episode):
            models = episode_models(numbers.planner, models, key, episode)
            return run_episode(
                numbers.planner, self.agent, self.real, q_params, models,
                keys.stream(key, purpose, episode),
            )  # fmt: skip

        # Seeds and episodes share one batch axis: a second vmap costs seconds of tracing.
        seeds, count = seed_keys.shape[0], episodes.shape[0]
        of_seeds = numbers, seed_keys, models, q_params
        repeated = jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), of_seeds)
        result = jax.vmap(one)(*(*repeated, jnp.tile(episodes, seeds)))
        summary = jax.tree.map(lambda x: x.reshape(seeds, count), result.summary)
        return summary, jax.tree.map(lambda x: x[0], result.transitions)

    def _init_args(self):
        seed_keys = keys.seed_keys(self.config.seeds)
        models = stacked_planner_models(self.config, self.agent.simulator, seed_keys)
        return self.numbers, seed_keys, models

    def _call(self, name: str, fn, *args, donate: tuple[int, ...] = ()) -> Any:
        if name not in self.compiled:
            self.on_compile(name)
            self.compiled[name] = compile(fn, *args, name=name, donate=donate)
        return self.compiled[name](*args)


def _keep_best(state: SeedState, returns: jax.Array) -> SeedState:
    def one(state: SeedState, value):
        better = value > state.best_return
        best = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), state.learner.params, state.best_params
        )
        return state._replace(best_params=best, best_return=jnp.maximum(value, state.best_return))

    return jax.vmap(one)(state, returns)


def make_programs(config: Config) -> Programs:
    """Builds simulators, agent and programs from a validated config.

    Raises:
      ConfigError, TaskError: what cannot be built, named before anything compiles.
    """
    task = load_task(config.task)
    if config.learner.buffer_capacity < task.episode_steps:
        raise ConfigError(
            'learner.buffer_capacity',
            config.learner.buffer_capacity,
            f'at least {task.episode_steps}, one episode of {task.name}',
        )
    simulator = make_simulator(task, config.planner_physics)
    shared = config.real_physics == config.planner_physics  # one trace serves both
    real = simulator if shared else make_simulator(task, config.real_physics)
    config = memory.with_chunks(config, simulator)
    numbers = Numbers(config.planner, config.learner)
    seeds = config.num_seeds
    batched = jax.tree.map(lambda x: jnp.full((seeds,), x, jnp.float32), numbers)
    return Programs(config, make_agent(config, simulator), real, batched)
