"""A look at a task before the first run: mpq check --task=module:factory.

Sizes and units, what episodes cost with no control and with random control, which parameters
change the model at the ends of their ranges, how long each backend takes to compile and to plan, a
temperature for MPPI in the units of the task's own costs, a picture of the start.
"""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from absl import flags
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.commands import command_line
from mpq_jax.config import Config, PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import compiles_slowly
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.evaluation.task_look import (
    Episodes,
    Look,
    actuator_facts,
    learning_share,
    look,
    proposed_temperature,
)
from mpq_jax.figures.video import can_render, mocap_poses, render
from mpq_jax.tasks import Task, keep_tasks, load_task

FLAGS = flags.FLAGS
flags.DEFINE_string('task', None, 'registered name, or module:factory of your own')
flags.DEFINE_string('picture', None, 'where the start is drawn; default: the name of the task .png')
flags.DEFINE_bool('all_backends', False, 'MJX too where a CPU takes minutes to compile')
flags.DEFINE_bool('time', True, 'compile and time a plan on each backend')


@keep_tasks()
def main() -> None:
    if FLAGS.task is None:
        raise ConfigError('--task', None, 'a registered name, or module:factory of your own')
    console, task = make_console(), load_task(FLAGS.task)
    config = mpq_jax.preset(FLAGS.task, 'mppi')
    assert isinstance(config.planner, PlannerConfig)
    found = look(task, config.planner)
    _print_sizes(task, found, console)
    _print_episodes(task, found, console)
    _print_effects(found, console)
    _print_temperature(config.planner, found, console)
    _print_learning(console)
    if FLAGS.time:
        _print_times(task, config, console)
    _draw(task, console)


def _print_sizes(task: Task, found: Look, console: Console) -> None:
    start = jax.eval_shape(task.reset, jax.random.key(0))
    table = Table(title=f'task {task.name}', show_header=False)
    physics = task.control_timestep / found.simulator.steps_per_control
    rows: list[tuple[str, Any]] = [
        ('episode', f'{task.episode_steps} control steps of {task.control_timestep:g} s'),
        ('physics', f'{found.simulator.steps_per_control} steps of {physics:g} s'),
        ('positions, velocities', f'{start.qpos.size}, {start.qvel.size}'),
        ('actuator activations', found.simulator.num_activations),
        ('actions', found.simulator.action_size),
        ('observation', found.observation_size),
        ('variables', ', '.join(_shapes(start.variables)) or 'none'),
        ('evolve', 'by advance' if task.advance else 'no'),
        ('mocap bodies', 'as variables say' if task.mocap else 'as the MJCF has them'),
    ]
    for name, kind, limits in actuator_facts(task):
        rows.append((f'actuator {name}', f'{kind}, -1 to 1 means {limits}'))
    for row in rows:
        table.add_row(*(escape(str(cell)) for cell in row))  # a unit in brackets is no markup
    console.print(table)


def _shapes(variables: Any) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(variables)
    return [f'{jax.tree_util.keystr(path) or "array"} {list(x.shape)}' for path, x in leaves]


def _print_episodes(task: Task, found: Look, console: Console) -> None:
    table = Table(title=f'{len(found.idle.returns)} episodes on the true model')
    for heading in ('control', 'return', 'cost of a step', 'ended early', 'success'):
        table.add_column(heading)
    for name, episodes in (('none', found.idle), ('random', found.random)):
        table.add_row(name, *_episode_facts(task, episodes))
    console.print(table)


def _episode_facts(task: Task, episodes: Episodes) -> tuple[str, str, str, str]:
    ended = int((episodes.lengths < task.episode_steps).sum())
    successes = '' if episodes.successes is None else f'{episodes.successes.mean():.0%}'
    whole = np.isfinite(episodes.returns)
    broken = '' if whole.all() else f' ({(~whole).sum()} not finite)'
    costs = episodes.costs[np.isfinite(episodes.costs)]
    span = 'none'
    if costs.size:
        span = f'{costs.min():.4g} to {costs.max():.4g}, median {np.median(costs):.4g}'
    mean = f'{episodes.returns[whole].mean():.4g}' if whole.any() else 'none'
    return f'{mean}{broken}', span, str(ended), successes


def _print_effects(found: Look, console: Console) -> None:
    if not found.effects:
        console.print('no parameters: the planner knows the true model', markup=False)
        return
    table = Table(title='parameters: the same random actions at both ends')
    for heading in ('parameter', 'from', 'to', 'largest change of a position or velocity'):
        table.add_column(heading)
    for effect in found.effects:
        table.add_row(
            effect.name, f'{effect.low:g}', f'{effect.high:g}',
            f'{effect.moved:.3g} after {effect.steps} control steps',
        )  # fmt: skip
    console.print(table)


def _print_temperature(planner: PlannerConfig, found: Look, console: Console) -> None:
    """In units of the costs' spread; MPPI weighs plans by it."""
    plans = f'random plans of H={planner.horizon} from one start'
    if not found.plan_cost_spread:
        console.print(
            f'{plans} all cost the same: MPPI alone has nothing to choose by. A longer '
            'planner.horizon may see further, a learned Q (--agent=mpq) does',
            markup=False,
        )
        return
    console.print(
        f'{plans} differ in cost by {found.plan_cost_spread:.3g} (one standard deviation); '
        f'planner.temperature is {planner.temperature:g}. To begin with, a tenth of that: '
        f"settings={{'planner.temperature': {proposed_temperature(found):g}}}",
        markup=False,
    )


def _print_learning(console: Console) -> None:
    share, fewer = learning_share(mpq_jax.preset(FLAGS.task, 'mpq'))
    text = f'MPQ: {share:.0%} of the model steps of an episode and its learning round are learning'
    if share > 0.55:
        text += f"; half with settings={{'learner.num_states': {fewer}}} (and more learner.epochs)"
    console.print(text, markup=False)


def _print_times(task: Task, config: Config, console: Console) -> None:
    planner = config.planner
    title = f'a plan of N={planner.num_samples}, H={planner.horizon}'
    table = Table(title=f'{title}, {planner.iterations} iterations')
    for heading in ('backend', 'ready in [s]', 'milliseconds a plan'):
        table.add_column(heading)
    backends = ['equations'] if task.equations is not None else []
    backends += ['mjx', 'mujoco'] if task.mjcf is not None else []
    for backend in backends:
        table.add_row(backend, *_timed(task, config, backend))
    console.print(table)


def _timed(task: Task, config: Config, backend: str) -> tuple[str, str]:
    slow = backend == 'mjx' and compiles_slowly(task, PhysicsConfig(backend))
    if slow and not FLAGS.all_backends:
        return 'left out: minutes (--all_backends)', ''
    begin = time.perf_counter()
    try:
        fields = {'planner_physics.backend': backend}
        controller = mpq_jax.make_controller(mpq_jax.set_fields(config, fields))
    except (TaskError, ConfigError) as error:
        return f'cannot: {error}', ''
    ready = time.perf_counter() - begin
    start = jax.tree.map(np.asarray, task.reset(jax.random.key(0)))
    seconds = []
    for _ in range(20):
        begin = time.perf_counter()
        controller.act(start.qpos, start.qvel, start.variables)
        seconds.append(time.perf_counter() - begin)
    return f'{ready:.1f}', f'{1000 * np.median(seconds):.2f}'


def _draw(task: Task, console: Console) -> None:
    if task.mjcf is None or not can_render():
        what = 'equations' if task.mjcf is None else 'no GL library'
        console.print(f'no picture of the start: {what}', markup=False)
        return
    path = Path(FLAGS.picture or f'{task.name}.png')
    model = load_model(task, PhysicsConfig())
    start = jax.tree.map(lambda x: np.asarray(x)[None], task.reset(jax.random.key(0)))
    goals = None if task.goal is None else np.asarray(jax.vmap(task.goal)(start.variables))
    poses = mocap_poses(task, model, start.variables)
    frame = next(render(model, start.qpos, -1, goals, poses))
    Image.fromarray(frame).save(path)
    console.print(f'{path}: the start of an episode', markup=False)


if __name__ == '__main__':
    command_line.run(main)
