"""Kinds of work as calls that take turns: plans, targets, acting, episodes, learning rounds."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import mpq_jax
from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.benchmarks.contenders import (
    BARE,
    NATIVE,
    PHYSICS,
    Cell,
    bare_call,
    config_of,
    plan_call,
    planner_simulator,
    random_q,
    reference_calls,
    start_states,
)
from mpq_jax.benchmarks.suite import MOST_NATIVE_STEPS, Case
from mpq_jax.config import Config
from mpq_jax.dynamics import with_emitters
from mpq_jax.dynamics.randomization import planner_models
from mpq_jax.environments.episode import example_transition
from mpq_jax.evaluation.controller import Controller
from mpq_jax.learning import learner
from mpq_jax.learning.q_function import make_network
from mpq_jax.planning.agent import make_agent
from mpq_jax.tasks import load_task
from mpq_jax.training.assembly import count_work, make_programs

Call = Callable[[], object]


class Contenders(NamedTuple):
    """Who takes turns in a case."""

    calls: dict[str, Call]  # by name
    compiled: dict[str, CompiledFunction]  # of those that compile once
    steps: int  # physics steps of the planner's models, in each call
    left_out: list[tuple[str, str]]  # and why


def make_contenders(case: Case, on_compile: Callable[[str], None]) -> Contenders:
    """The case's work on each of its backends, and the references that do as many steps."""
    cell = case.cell
    task = load_task(cell.task)
    calls: dict[str, Call] = {}
    compiled: dict[str, CompiledFunction] = {}
    left_out = list(case.left_out)
    for backend in case.backends:
        name = f'mpq {backend}'
        on_compile(f'{name} {case}')
        calls[name], program = _MAKERS[case.work](cell, backend)
        if program is not None:
            compiled[name] = program
    steps = steps_of(case)
    wanted = list(case.references)
    if 'bare' in wanted:
        on_compile(f'{BARE} {case}')
        calls[BARE], compiled[BARE] = bare_call(cell, case.backends[0])
    if 'mujoco' in wanted and steps > MOST_NATIVE_STEPS and task.mjcf is not None:
        wanted.remove('mujoco')
        left_out.append((NATIVE, 'takes seconds a call'))
    calls |= reference_calls(cell, task, wanted, compiled, passes_of(case))
    return Contenders(calls, compiled, steps, left_out)


def passes_of(case: Case) -> int:
    """How many batches of N trajectories one call rolls out for each state."""
    config = mpq_jax.preset(case.cell.task)
    passes = {'acting': config.planner.iterations, 'targets': config.learner.target_iterations + 1}
    return passes.get(case.work, 1)


def steps_of(case: Case) -> int:
    """Physics steps of the planner's models in one call."""
    if case.work in ('episode', 'round'):
        workload = count_work(_batch_config(case.cell, case.backends[0]))
        per_seed = workload.per_round
        if case.work == 'episode':
            per_seed = workload.per_action * workload.episode_steps
        return per_seed * case.cell.num_states
    simulator = planner_simulator(case.cell.task, case.backends[0])
    return case.cell.model_steps(simulator.steps_per_control) * passes_of(case)


def targets_call(cell: Cell, backend: str) -> tuple[Call, CompiledFunction]:
    """A learning round's targets for `num_states` states, of one seed."""
    simulator = planner_simulator(cell.task, backend)
    config, agent, models, q_params = _agent(cell, simulator)
    settings = config.learner
    plan = agent.first_plan(config.planner) if settings.warm_start else ()
    states, _ = start_states(simulator, cell.num_states)
    batch = jax.tree.map(
        lambda leaf: jnp.zeros((cell.num_states, *leaf.shape), leaf.dtype),
        example_transition(simulator, plan),
    )._replace(next_state=states)

    def targets(planner, models, q_params, batch, key):
        return learner.make_targets(planner, settings, agent, models, q_params, batch, key)

    planner = jax.tree.map(jnp.float32, config.planner)
    arguments = planner, models, q_params, batch, jax.random.key(4)
    emitters, name = with_emitters(simulator), f'targets {backend}'
    program = compile(targets, *arguments, name=name, fusion_emitters=emitters)
    return lambda: program(*arguments), program


def acting_call(cell: Cell, backend: str) -> tuple[Call, None]:
    """A control step of the preset's MPQ agent as its user asks for it: numbers in, numbers out."""
    simulator = planner_simulator(cell.task, backend)
    config, agent, models, q_params = _agent(cell, simulator)
    planner = jax.tree.map(jnp.float32, config.planner)
    controller = Controller(planner, agent, q_params, models)
    start = jax.tree.map(np.asarray, simulator.task.reset(jax.random.key(3)))
    return functools.partial(controller.act, start.qpos, start.qvel, start.variables), None


def _agent(cell: Cell, simulator):
    config = config_of(cell, 'mpq', simulator, one_iteration=False)
    agent = make_agent(config, simulator, make_network(config))
    return config, agent, planner_models(config, simulator, jax.random.key(0)), random_q(agent)


def _batch_config(cell: Cell, backend: str) -> Config:
    """The preset for as many seeds as the cell has states, planner and system on one backend."""
    fields: dict[str, Any] = {
        'planner.num_samples': cell.num_samples,
        'planner.horizon': cell.horizon,
        'num_seeds': cell.num_states,
    }
    for name, value in PHYSICS[backend].items():
        fields |= {f'planner_physics.{name}': value, f'real_physics.{name}': value}
    return mpq_jax.set_fields(mpq_jax.preset(cell.task), fields)


def _seeds_call(which: str, cell: Cell, backend: str) -> tuple[Call, None]:
    """An episode, or a learning round, of a batch of seeds, by a run's own programs."""
    programs = make_programs(_batch_config(cell, backend))
    state, _ = programs.collect(programs.initial_state(), 0)  # something to learn from
    part = programs.collect if which == 'episode' else programs.learn
    # They take over their state's buffers, so each call gets a copy.
    return lambda: part(jax.tree.map(jnp.copy, state), 1), None


_MAKERS: dict[str, Callable[[Cell, str], tuple[Call, CompiledFunction | None]]] = {
    'plan': lambda cell, backend: plan_call(cell, 'mpq', backend),
    'targets': targets_call,
    'acting': acting_call,
    'episode': functools.partial(_seeds_call, 'episode'),
    'round': functools.partial(_seeds_call, 'round'),
}
