"""Whether a task can be used at all: looked at when it is loaded, before anything compiles."""

import math
import weakref

import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.check_functions import check_functions
from mpq_jax.tasks.check_plant import check_control, check_physics_hook
from mpq_jax.tasks.plant import edited_model, read_mjcf
from mpq_jax.tasks.task import Task

_passed: weakref.WeakSet[Task] = weakref.WeakSet()


def check_task(task: Task) -> None:
    """Traces every function of a task and evaluates it once, at a start and a control step later.

    Once for each Task object. What is looked at: shapes, types and finite numbers of what the
    functions return; that `reset` depends on its key alone; that `set_parameters` changes the
    model between the ends of each parameter's range, and neither the time step nor the sign of a
    mass; that a task that terminates says what that costs.

    Raises:
      TaskError: it names the task, the function, what it returned and what is wanted.
    """
    if task in _passed:
        return
    _check_fields(task)
    _check_parameters(task)
    model = None
    if task.mjcf is not None:
        model = read_mjcf(task)
        model.opt.timestep = task.settings.get('real_physics.timestep') or model.opt.timestep
        _check_set_parameters(task, model)
        model = edited_model(task, model, task.true_parameters)
        check_control(task, model)
        check_physics_hook(task, model)
    check_functions(task, model)
    _passed.add(task)


def _check_fields(task: Task) -> None:
    blame = f'task {task.name!r}'
    if task.mjcf is None and task.equations is None:
        raise TaskError(f'{blame} has no plant: it needs an MJCF or equations')
    if task.mjcf is None and task.mocap is not None:
        raise TaskError(f'{blame} has mocap and no MJCF: there are no bodies to place')
    if task.mjcf is None and task.action_size is None:
        raise TaskError(f'{blame} has equations and no MJCF: it needs action_size')
    if not (isinstance(task.episode_steps, int) and task.episode_steps >= 1):
        raise TaskError(
            f'{blame}: episode_steps = {task.episode_steps!r}: it must be a whole number, 1 or more'
        )
    if not (math.isfinite(task.control_timestep) and task.control_timestep > 0):
        raise TaskError(
            f'{blame}: control_timestep = {task.control_timestep!r}: it must be above 0 seconds'
        )
    if task.terminated is not None and task.terminal_cost is None:
        raise TaskError(
            f'{blame} has terminated and no terminal_cost: costs are positive as a rule, and are '
            'to be kept small, so that ending at once would be the cheapest way to go. Give the '
            'cost of having ended: terminal_cost=mpq_jax.cost_to_go(cost_per_step, discount), what '
            'staying at that cost for ever would add up to; or let every step alive be worth '
            'something, cost=mpq_jax.alive_bonus(bonus, cost) and '
            'terminal_cost=mpq_jax.cost_to_go(0.0, discount)'
        )
    if task.terminal_cost is not None and task.terminated is None:
        raise TaskError(f'{blame} has terminal_cost and no terminated: it would never be read')


def _check_parameters(task: Task) -> None:
    blame = f'task {task.name!r}: parameters'
    names = [p.name for p in task.parameters]
    for name, true_value, low, high in task.parameters:
        if names.count(name) > 1:
            raise TaskError(f'{blame} has {name!r} more than once')
        if not all(map(math.isfinite, (true_value, low, high))) or low > high:
            raise TaskError(
                f'{blame}: {name!r} is from low = {low} to high = {high}, truly {true_value}: '
                'finite numbers, and low at most high, are wanted'
            )
    if task.set_parameters is not None and not task.parameters:
        raise TaskError(
            f'task {task.name!r} has set_parameters and no parameters: it would never be called; '
            'what is always so belongs into the MJCF'
        )


def _check_set_parameters(task: Task, model: mujoco.MjModel) -> None:
    """Both ends of every range, one parameter at a time and all at once."""
    true = task.true_parameters
    edited_model(task, model, true)
    for end in ('low', 'high'):
        edited_model(task, model, {p.name: getattr(p, end) for p in task.parameters})
    for p in task.parameters:
        low, high = (edited_model(task, model, true | {p.name: end}) for end in (p.low, p.high))
        if p.low < p.high and np.array_equal(_contents(low), _contents(high)):
            raise TaskError(
                f'task {task.name!r}: set_parameters changes nothing in the model between '
                f'{p.name} = {p.low} and {p.high}: every parameter must reach it'
            )


def _contents(model: mujoco.MjModel) -> np.ndarray:
    """All of a model, as bytes."""
    content = np.empty(mujoco.mj_sizeModel(model), np.uint8)
    mujoco.mj_saveModel(model, None, content)
    return content
