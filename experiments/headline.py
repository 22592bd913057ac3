"""The README's table of results: python -m experiments.headline [--tasks=...] [--run_dir=...].

No control, plain MPPI, SoftQ and MPQ on every built-in task, on seeds that no setting was chosen
on; the baselines with their own temperature, and with Table 3's; MPPI and MPQ with white noise too,
the paper's, where their presets have another. Each task is a sweep in a directory of its own below
--run_dir, so the same command goes on where it was stopped; the table is written after every agent.
--draw_only runs nothing.
"""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from rich.console import Console

from experiments import headline_table
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.config.fields import get_field
from mpq_jax.suite.presets import preset
from mpq_jax.sweep import SweepDirectory, run_sweep
from mpq_jax.sweep.grid import Fields, Grid
from mpq_jax.tasks import load_task

_AGENTS = ('none', 'mppi', 'softq', 'mpq')

FLAGS = flags.FLAGS
command_line.define_run_directory_flag()
flags.DEFINE_list('tasks', None, 'all of them if left out')
flags.DEFINE_list('agents', list(_AGENTS), 'in this order')
flags.DEFINE_integer('seed', 100, 'the first; settings were chosen on seeds 0 to 9')
flags.DEFINE_integer('num_seeds', None, 'of each task, for a shorter table')
flags.DEFINE_integer('episodes', None, 'of training, for a shorter table')
flags.DEFINE_integer('test_episodes', None, 'a seed, for a shorter table')
flags.DEFINE_bool('table_3', True, "with Table 3's temperature, white noise too, after all else")
flags.DEFINE_bool('draw_only', False, 'run nothing more: the table of what --run_dir holds so far')

# On a CPU: contacts are planned natively, and the true system is native MuJoCo as well.
_NATIVE = {'planner_physics.backend': 'mujoco', 'real_system': 'mujoco'}


class Entry(NamedTuple):
    """How a task is run."""

    num_seeds: int
    episodes: int
    test_episodes: int  # a seed, after training; 0: none
    fields: Mapping[str, Any]


ENTRIES = {
    'pendulum': Entry(10, 50, 0, {}),
    'ball_in_cup': Entry(5, 100, 100, _NATIVE),
    'franka_drawer': Entry(5, 100, 100, _NATIVE),
    'fetch_push': Entry(5, 50, 0, _NATIVE),
}


def main() -> None:
    console = make_console()
    tasks = FLAGS.tasks or list(ENTRIES)
    for task in tasks:
        check_choice('--tasks', task, tuple(ENTRIES))
    for agent in FLAGS.agents:
        check_choice('--agents', agent, _AGENTS)
    path = Path(FLAGS.run_dir or 'runs/headline')
    if not FLAGS.draw_only:
        for task in tasks:
            _run(task, path, console)
    headline_table.write(path, _test_episodes(), console)


def _run(task: str, path: Path, console: Console) -> None:
    """One agent after the other: what is done is in the table while the next one runs."""
    entry = ENTRIES[task]
    fixed = {
        'task': task,
        'seed': FLAGS.seed,
        'num_seeds': FLAGS.num_seeds or entry.num_seeds,
        'episodes': FLAGS.episodes or entry.episodes,
        'training.validation_episodes': 0,  # the last parameters play
        **entry.fields,
    }
    for agent in FLAGS.agents:
        _extend(path / task, fixed, _points(task, agent), console)
        headline_table.write(path, _test_episodes(), console)
    for agent in FLAGS.agents if FLAGS.table_3 else ():
        for fields in _of_the_paper(task, agent):
            where = path / headline_table.sweep_with(task, fields)
            _extend(where, fixed | fields, _points(task, agent), console)
            headline_table.write(path, _test_episodes(), console)


def _of_the_paper(task: str, agent: str) -> list[Fields]:
    """What the paper has in the place of the agent's preset: temperature, noise, then both.

    MPQ keeps its temperature.
    """
    own, paper = (preset(task, agent, kind) for kind in ('default', 'paper'))
    names = {'none': [], 'mpq': ['planner.noise']}.get(agent, list(headline_table.OF_THE_PAPER))
    differing = [name for name in names if get_field(own, name) != get_field(paper, name)]
    return [
        {name: get_field(paper, name) for name in chosen}
        for count in range(1, len(differing) + 1)
        for chosen in itertools.combinations(differing, count)
    ]


def _extend(path: Path, fixed: Fields, points: list[Fields], console: Console) -> None:
    """Runs what a sweep does not hold yet of some points."""
    directory = SweepDirectory(path)
    known = directory.points
    new = [point for point in points if point not in known]
    run_sweep(Grid.of(fixed, tuple(known + new)), path, console=console)


def _points(task: str, agent: str) -> list[Fields]:
    """The agent at its horizon; on the pendulum, where it is cheap, MPPI at the long one too."""
    horizons = [preset(task, agent).planner.horizon]
    if (task, agent) == ('pendulum', 'mppi'):
        horizons.append(load_task(task).long_horizon)
    return [{'agent': agent, 'planner.horizon': horizon} for horizon in horizons]


def _test_episodes() -> dict[str, int]:
    """A seed, of each task."""
    if FLAGS.test_episodes is not None:
        return dict.fromkeys(ENTRIES, FLAGS.test_episodes)
    return {task: entry.test_episodes for task, entry in ENTRIES.items()}


if __name__ == '__main__':
    command_line.run(main)
