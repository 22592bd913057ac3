"""The paper's figures and tables beside ours: mpq reproduce --figure=...

Each is a sweep over agents, horizons and data, so it is resumed by the same command; figures and
tables of one task may share a --run_dir and then share runs. --draw_only runs nothing and shows
what has run so far. 'dmd_cartpole' is the published experiment of DMD-MPC, a system of its own.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from absl import flags
from rich.console import Console

from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, TaskError, check_choice
from mpq_jax.commands import command_line
from mpq_jax.comparison import dmd_cartpole_figure, paper_figures
from mpq_jax.config import Config, NoiseConfig
from mpq_jax.config.fields import PLANNER
from mpq_jax.config.planners import planner_config
from mpq_jax.suite.presets import preset
from mpq_jax.sweep import SweepDirectory, run_sweep
from mpq_jax.sweep.grid import Fields, Grid
from mpq_jax.sweep.results import read_outcomes
from mpq_jax.tasks import load_task

FLAGS = flags.FLAGS
command_line.define_run_flags()
command_line.define_run_directory_flag()
flags.DEFINE_string('figure', None, "'training_curves', 'horizon_ablation' or 'dmd_cartpole'")
flags.DEFINE_string('table', None, "'test_success'")
flags.DEFINE_list('horizons', ['1', '4', '10', '16'], 'of the horizon ablation')
flags.DEFINE_integer('test_episodes', 100, 'a seed, for the table')
flags.DEFINE_bool('draw_only', False, 'run nothing more: show what --run_dir holds so far')
_CARTPOLE = 'dmd_cartpole'


class Experiment(NamedTuple):
    """What of the paper is reproduced."""

    points: Callable[[str], list[Fields]]  # of a task
    finish: Callable[[SweepDirectory, list[Fields], Console], None]  # tables and figures


def main() -> None:
    if FLAGS.figure == _CARTPOLE:
        path = Path(FLAGS.run_dir or f'runs/{_CARTPOLE}')
        dmd_cartpole_figure.reproduce(path, make_console(), FLAGS.draw_only)
        return
    name, experiment = _chosen()
    task = FLAGS.task or 'pendulum'
    points = experiment.points(task)
    directory = SweepDirectory(FLAGS.run_dir or f'runs/{name}_{task}')
    console = make_console()
    if FLAGS.draw_only:
        points = _begun(directory, points)
    else:
        run_sweep(_grid(task, points, directory), directory.path, console=console)
    experiment.finish(directory, points, console)


def _chosen() -> tuple[str, Experiment]:
    if (FLAGS.figure is None) == (FLAGS.table is None):
        raise ConfigError('--figure', FLAGS.figure, 'given, or --table, and not both')
    kind, name = ('figure', FLAGS.figure) if FLAGS.figure else ('table', FLAGS.table)
    known = tuple(_EXPERIMENTS[kind])
    check_choice(f'--{kind}', name, (*known, _CARTPOLE) if kind == 'figure' else known)
    for flag in ('agent', 'horizon', 'planner_model', 'q_data'):
        if FLAGS[flag].value is not None:
            raise ConfigError(f'--{flag}', FLAGS[flag].value, f'left out: --{kind}={name} sets it')
    return name, _EXPERIMENTS[kind][name]


def _begun(directory: SweepDirectory, points: list[Fields]) -> list[Fields]:
    """The points of which there are episodes."""
    begun = [outcome.fields for outcome in read_outcomes(directory)]
    points = [point for point in points if point in begun]
    if not points:
        raise ConfigError('--run_dir', str(directory.path), 'a sweep with episodes of this figure')
    return points


def _grid(task: str, points: list[Fields], directory: SweepDirectory) -> Grid:
    """The points, and those that the directory holds already for other figures."""
    points = [*directory.points, *points]
    distinct = {json.dumps(point, sort_keys=True): point for point in points}
    given = command_line.given_fields(FLAGS)
    fixed = {'seed': 100, 'num_seeds': 5, **_noise_of_the_paper(task, given), **given, 'task': task}
    if FLAGS.preset is not None:
        fixed['preset'] = FLAGS.preset
    return Grid.of(fixed, tuple(distinct.values()))


def _noise_of_the_paper(task: str, given: Fields) -> Fields:
    """White, where the task's preset has another; a planner of one's own may know of none."""
    planner = planner_config(given.get(PLANNER, Config().planner.name))
    if 'paper' not in load_task(task).presets or not isinstance(planner, NoiseConfig):
        return {}
    own, paper = (
        getattr(preset(task, name=name).planner, 'noise', None) for name in ('default', 'paper')
    )
    return {} if own == paper else {'planner.noise': paper}


def _point(agent: str, horizon: int, planner_model: str = 'biased', q_data: str = 'real') -> Fields:
    return {
        'agent': agent,
        'planner.horizon': horizon,
        'planner_model': planner_model,
        'q_data': q_data,
    }


def _horizons(task: str) -> tuple[int, int]:
    """H of MPQ, and of the long MPPI."""
    return preset(task).planner.horizon, load_task(task).long_horizon


def _training_curves(task: str) -> list[Fields]:
    short, long = _horizons(task)
    return [  # what takes longest last
        _point('none', 1),
        _point('mpq', short),
        _point('mppi', short),
        _point('softq', 1),
        _point('mppi', long),
        _point('mppi', long, planner_model='true'),
    ]


def _test_success(task: str) -> list[Fields]:
    if load_task(task).success is None:
        raise TaskError(f'task = {task!r} has no success: there is no such table for it')
    agents = (('mpq', _horizons(task)[0]), ('softq', 1))
    learned = [_point(agent, h, q_data=data) for data in ('real', 'dr') for agent, h in agents]
    return [_point('none', 1), *learned]


def _horizon_ablation(task: str) -> list[Fields]:
    """At H = 1, MPQ is SoftQ without its target network: ours; the paper starts at 4."""
    horizons = command_line.whole_numbers('horizons', FLAGS, 1)
    planned = [_point(agent, h) for h in horizons for agent in ('mpq', 'mppi')]
    return [_point('none', 1), *planned]


def _table(directory: SweepDirectory, points: list[Fields], console: Console) -> None:
    paper_figures.success_table(directory, points, FLAGS.test_episodes, console)


_EXPERIMENTS = {
    'figure': {
        'training_curves': Experiment(_training_curves, paper_figures.training_curves),
        'horizon_ablation': Experiment(_horizon_ablation, paper_figures.horizon_ablation),
    },
    'table': {'test_success': Experiment(_test_success, _table)},
}


if __name__ == '__main__':
    command_line.run(main)
