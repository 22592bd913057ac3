"""From a config to what a run calls: simulators, agent, batch, programs."""

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence

import jax
import numpy as np

from mpq_jax.base.spreading import ALONE
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config import Batch, Config, DynamicsConfig
from mpq_jax.dynamics import Simulator, for_planner, make_simulator, steps_per_control
from mpq_jax.dynamics.learned import make_learned_simulator
from mpq_jax.dynamics.randomization import prior_range
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.environments.registry import system_maker
from mpq_jax.environments.system_pool import SystemPool
from mpq_jax.learning.algorithm import MemberState
from mpq_jax.learning.algorithms import algorithm_maker
from mpq_jax.learning.policies.other_run import OtherRun
from mpq_jax.learning.workload import Workload
from mpq_jax.runs.checkpoint import latest_episode
from mpq_jax.runs.restoring import latest
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.tasks import Task, load_task
from mpq_jax.training import memory
from mpq_jax.training.layout import BatchCompiler, Hooks, layout_of
from mpq_jax.training.programs import Collector, Programs
from mpq_jax.training.scan_collector import ScanCollector
from mpq_jax.training.stepwise_collector import StepwiseCollector


def check(batch: Batch) -> Task:
    """The task of a batch whose fields fit it and each other; nothing is built.

    Raises:
      ConfigError, TaskError: what cannot be used.
    """
    config = batch.config
    task = load_task(config.task)
    if config.learner.buffer_capacity < task.episode_steps:
        raise ConfigError(
            'learner.buffer_capacity',
            config.learner.buffer_capacity,
            f'at least {task.episode_steps}, one episode of {task.name}',
        )
    if config.from_run:
        _other_batch(config)
    for member in batch.configs():
        for parameter in task.parameters:
            prior_range(parameter, member.belief)
        if config.learns_dynamics:
            _check_data(member.dynamics, task)
    return task


def _other_batch(config: Config) -> Batch:
    """What the run that this one builds on was made with. Raises ConfigError where it won't do."""
    path, run = config.from_run, RunDirectory(config.from_run)
    try:
        batch = run.read_batch()
    except RunError as error:
        raise ConfigError('from_run', path, f'the directory of a trained run: {error}') from None
    other = batch.config
    if not latest_episode(run.checkpoints):
        raise ConfigError('from_run', path, 'a run that was trained: it holds no checkpoint')
    if other.task != config.task:
        raise ConfigError('from_run', path, f'a run of {config.task!r}: it is of {other.task!r}')
    if batch.variants:
        raise ConfigError('from_run', path, 'a run without variants')
    for seed in config.seeds:
        if seed not in other.seeds:
            raise ConfigError('seed', seed, f'one of from_run = {path!r}, which has {other.seeds}')
    return batch


def _other_run(config: Config) -> OtherRun | None:
    """The run that this one builds on, where its agent does. Raises ConfigError."""
    if not config.from_run:
        return None
    batch, run = _other_batch(config), RunDirectory(config.from_run)
    programs = make_programs(batch, None, run.planner_backend)
    shapes, seeds = programs.state_shapes(), list(batch.config.seeds)

    def load() -> MemberState:
        saved, _ = latest(run, shapes, batch)
        rows = np.array([seeds.index(seed) for seed in config.seeds])
        return jax.tree.map(lambda x: x[rows], saved.state)

    one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), shapes)
    return OtherRun(batch.config, programs.algorithm, one, load)


def _check_data(dynamics: DynamicsConfig, task: Task) -> None:
    """Raises ConfigError where random episodes would not fill one minibatch."""
    seen = int(dynamics.random_episodes * task.episode_steps * (1.0 - dynamics.holdout))
    if seen < dynamics.batch_size:
        raise ConfigError(
            'dynamics.random_episodes', dynamics.random_episodes,
            f'enough for dynamics.batch_size = {dynamics.batch_size}: they give {seen} transitions '
            f'that are not held out, {task.episode_steps} steps each',
        )  # fmt: skip


def count_work(runs: Config | Batch) -> Workload:
    """What a run takes; no simulator and no program is built for it.

    Raises:
      ConfigError, TaskError: what cannot be used.
    """
    batch = Batch.of(runs)
    config, task = batch.config, check(batch)
    with of_field('planner_physics'):
        steps = steps_per_control(task, config.planner_physics)
    return Workload.of(batch, task, 1 if config.planner_model == 'learned' else steps)


def make_programs(
    runs: Config | Batch,
    real_systems: Sequence[RealSystem] | None = (),
    planner_backend: str = '',
) -> Programs:
    """Builds simulators, algorithm and programs from what is validated.

    Args:
      runs: a config, or a batch of several values of it.
      real_systems: one a member, where config.real_system is 'own'; None where no real system is
        going to be driven, and none need be there.
      planner_backend: what a run that goes on had where its config says 'auto'; '' for a new one.

    Raises:
      ConfigError, TaskError: what cannot be built, named before anything compiles.
    """
    batch = Batch.of(runs)
    config, task = batch.config, check(batch)
    if real_systems is not None:
        _check_real_systems(batch, task, real_systems)
    real, simulator = _simulators(config, task, planner_backend)
    stepwise = config.real_system != 'simulated'
    # Native MuJoCo uses all cores by itself, Warp one.
    alone = stepwise or 'mujoco' in (simulator.backend, real.backend) or _on_warps_one_core(config)
    if config.learns_dynamics:
        corrects = config.planner_model == 'residual'
        simulator = make_learned_simulator(simulator, config.dynamics, corrects)
    members = len(batch.members)
    # A program that calls native MuJoCo would do so once a device.
    native = real.backend == 'mujoco' and not stepwise
    spread = ALONE if native else memory.spread_of(config, simulator, members)
    layout = layout_of(members, 1 if alone else None, spread)
    at_once = memory.members_at_once(config, simulator, layout.per_device)
    chunked = memory.with_chunks(config, simulator, at_once, spread)
    algorithm = algorithm_maker(config, _other_run(config)).make(chunked, simulator)
    if config.learns != (algorithm.update is not None):
        raise ConfigError(
            'agent', config.agent, 'registered with learns=True if, and only if, it has an update'
        )
    compiler = BatchCompiler(layout, Hooks())
    collector: Collector = ScanCollector(algorithm, real, compiler, at_once)
    if stepwise:
        own, on_failure = real_systems or (), lambda text: compiler.hooks.on_failure(text)
        systems = SystemPool(chunked, algorithm.play, own, on_failure)
        collector = StepwiseCollector(algorithm, systems, compiler)
    batch = dataclasses.replace(batch, config=chunked)
    return Programs(batch, batch.configs(), algorithm, real, compiler, collector, at_once)


def _on_warps_one_core(config: Config) -> bool:
    """Whether Warp runs on a CPU, where it takes one batch at a time."""
    used = config.planner_physics.impl, config.real_physics.impl
    return jax.default_backend() == 'cpu' and 'warp' in used


def _simulators(config: Config, task: Task, had: str) -> tuple[Simulator, Simulator]:
    """Of the real system and of the planner; one serves both where they are the same."""
    driven = config.real_system != 'simulated'
    if driven and task.mjcf is not None and config.real_physics.backend == 'auto':
        # Driven from outside, it is here for its shapes alone: nothing is to be traced for them.
        shapes = dataclasses.replace(config.real_physics, backend='mujoco')
        real = _physics(task, dataclasses.replace(config, real_physics=shapes), 'real_physics')
    else:
        real = _physics(task, config, 'real_physics')
    if not config.plans:
        return real, real
    physics = config.planner_physics
    if physics.backend == 'auto' and had:
        physics = dataclasses.replace(physics, backend=had)
    chosen = dataclasses.replace(config, planner_physics=for_planner(task, physics))
    return real, _physics(task, chosen, 'planner_physics')


def _physics(task: Task, config: Config, which: str) -> Simulator:
    with of_field(which):
        return _simulator(task, getattr(config, which))


@contextlib.contextmanager
def of_field(which: str) -> Iterator[None]:
    """Errors name the field: 'planner_physics.' or 'real_physics.' for the 'physics.' of both."""
    try:
        yield
    except ConfigError as error:
        field = error.field.replace('physics.', f'{which}.', 1)
        raise ConfigError(field, error.value, error.allowed) from None


def _check_real_systems(batch: Batch, task: Task, real_systems: Sequence[RealSystem]) -> None:
    config = batch.config
    if maker := system_maker(config.real_system):
        maker.check(task, config.real_physics)
    own, wanted = config.real_system == 'own', len(batch.members)
    if own and len(real_systems) != wanted:
        raise ConfigError(
            'real_systems', len(real_systems), f"{wanted} systems, one a member, when real_system "
            "is 'own': in Python, mpq_jax.train(config, run_dir, real_systems=[...]), with "
            'resume=True to go on, or mpq_jax.evaluate(run_dir, real_systems=[...])'
        )  # fmt: skip
    if real_systems and not own:
        raise ConfigError('real_system', config.real_system, "'own' when real_systems are given")


# Cells of a sweep that differ in sizes alone share their physics.
_simulator = functools.lru_cache(maxsize=16)(make_simulator)
