"""From a config to what a run calls: simulators, agent, batch, programs."""

import functools

from mpq_jax import memory
from mpq_jax.agent import make_agent
from mpq_jax.batch import layout, member_configs
from mpq_jax.config import Config
from mpq_jax.programs import Programs
from mpq_jax.randomization import belief
from mpq_jax.simulator import make_simulator
from mpq_jax.simulator.mujoco_model import load_model
from mpq_jax.stepwise_programs import StepwisePrograms
from mpq_jax.tasks import load_task
from mpq_jax.validation import ConfigError


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
    members = member_configs(config)
    for member in members:
        for parameter in task.parameters:
            belief(parameter, member.planner)
    simulator = _simulator(task, config.planner_physics)
    stepwise = config.real_system != 'simulated'
    if stepwise:
        load_model(task, config.real_physics)
    # One trace serves both where they are the same.
    real = _simulator(task, config.real_physics)
    # Native MuJoCo uses all cores by itself.
    native = stepwise or 'mujoco' in (simulator.backend, real.backend)
    over_devices = layout(config, devices=1 if native else None)
    at_once = memory.members_at_once(config, simulator, over_devices.per_device)
    chunked = memory.with_chunks(config, simulator, at_once)
    members = member_configs(chunked)
    kind = StepwisePrograms if stepwise else Programs
    return kind(chunked, members, make_agent(chunked, simulator), real, over_devices, at_once)


# Cells of a sweep that differ in sizes alone share their physics.
_simulator = functools.lru_cache(maxsize=16)(make_simulator)
