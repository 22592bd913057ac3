"""Controllers of what there is: plain MPPI from a config, a trained run from its directory."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.base.validation import ConfigError, check_between
from mpq_jax.config import BasePlannerConfig, Config
from mpq_jax.dynamics import for_planner, make_simulator
from mpq_jax.dynamics.randomization import episode_models, planner_models
from mpq_jax.evaluation.controller import Controller
from mpq_jax.evaluation.loading import load_run
from mpq_jax.evaluation.policy_controller import PolicyController
from mpq_jax.planning.agent import Agent, make_agent
from mpq_jax.planning.mixing import at_end
from mpq_jax.planning.policy_agent import PolicyAgent
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.tasks import keep_tasks, load_task
from mpq_jax.training import memory
from mpq_jax.training.assembly import of_field
from mpq_jax.training.programs import Programs

DISTILLED = 'distilled'  # in a run's directory: the policy that was fitted to its planner


@keep_tasks()
def make_controller(config: Config) -> Controller:
    """Plain MPPI on a task, from a config such as `preset(task, 'mppi')`.

    Raises:
      ConfigError: an agent that would have to learn first.
    """
    config.validate()
    if config.learns:
        field = 'agent' if config.learns_q else 'planner_model'
        allowed = "'mppi' with a model that is not learned; load a trained run for others"
        raise ConfigError(field, getattr(config, field), allowed)
    task = load_task(config.task)
    with of_field('planner_physics'):
        simulator = make_simulator(task, for_planner(task, config.planner_physics))
    spread = memory.spread_of(config, simulator, 1)
    config = memory.with_chunks(config, simulator, 1, spread)
    models = planner_models(config, simulator, keys.seed_keys([config.seed])[0])
    return Controller(_arrays(config.planner), make_agent(config, simulator, None), (), models)


@keep_tasks()
def load_controller(
    run_dir: str | Path,
    seed: int | None = None,
    variant: int = 0,
    parameters: str = 'last',
    *,
    task: str | None = None,
    policy: bool = False,
) -> Controller:
    """The controller of a trained run: one seed's parameters, with the models it planned with.

    No real system is needed for it, whatever the run was trained on. That of a policy is a
    `PolicyController`.

    Args:
      run_dir: a run directory.
      seed: one of the run's; the first if None.
      variant: which of the batch's variants, of a run that has them.
      parameters: the 'last', or the 'best' by validation (the last where there was none).
      task: the run's `module:factory`, where its task is not a registered one; not needed where
        this process has loaded it already.
      policy: the policy that `distil` fitted to the run's planner, in the planner's place.

    Raises:
      RunError, ConfigError: no such run, checkpoint, seed or variant; a task that has to be given.
    """
    run_dir = Path(run_dir) / DISTILLED if policy else run_dir
    programs, saved, _ = load_run(run_dir, None, task)
    batch, config = programs.batch, programs.config
    if seed is not None and seed not in config.seeds:
        raise ConfigError('seed', seed, f"one of the run's: {config.seeds}")
    check_between('variant', variant, 0, max(0, len(batch.variants) - 1))
    row = batch.members.index((variant, config.seed if seed is None else seed))
    q_params = programs.parameters(saved.state, parameters)
    one = jax.tree.map(lambda x: x[row], (q_params, saved.state.models, saved.state.key))
    q_params, models, key = one
    planner = programs.members[row].planner
    models = episode_models(config.belief, models, key, 0)
    numbers, agent = _arrays(at_end(planner)), _alone(programs, RunDirectory(run_dir), task)
    if isinstance(agent, PolicyAgent) and agent.planner is None:
        return PolicyController(numbers, agent, q_params, models)
    return Controller(numbers, agent, q_params, models)


def _alone(programs: Programs, run: RunDirectory, task: str | None) -> Agent:
    """A run's agent as its only member: with the devices to itself."""
    agent, config = programs.agent, run.read_batch(task).config
    spread = memory.spread_of(config, agent.simulator, 1)
    execution = dataclasses.replace(agent.execution, sample_devices=spread.devices)
    return dataclasses.replace(agent, execution=execution)


def _arrays(planner: BasePlannerConfig) -> BasePlannerConfig:
    return jax.tree.map(jnp.float32, planner)
