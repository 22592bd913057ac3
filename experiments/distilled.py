"""Policies distilled from MPQ's planners: python -m experiments.distilled [--tasks=...].

MPQ is trained on each of the paper's tasks with its preset, on seeds from 100 on, its planner is
distilled with the defaults (chosen on the pendulum's tuning starts, BUILD_NOTES.md), and both play
the same test starts. Runs lie below --run_dir, so the same command goes on where it was stopped; a
trained run that is put there is not trained again. distilled.json, .md and .png are written after
each task. --draw_only runs nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from rich.console import Console

import mpq_jax
from experiments import distilled_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS
# On a CPU: contacts are planned natively, and the true system is native MuJoCo as well.
_NATIVE = {'planner_physics.backend': 'mujoco', 'real_system': 'mujoco'}


class Entry(NamedTuple):
    """How a task is run: an hour of a core that others used as well decided the numbers."""

    num_seeds: int
    planner_episodes: int  # of MPQ
    episodes: int  # of the policy; in the first five the planner acts
    test_episodes: int  # a seed
    fields: Mapping[str, Any]


ENTRIES = {
    'pendulum': Entry(5, 50, 20, 20, {}),
    'ball_in_cup': Entry(5, 50, 30, 6, _NATIVE),
    'franka_drawer': Entry(3, 8, 25, 6, _NATIVE),
    'fetch_push': Entry(5, 10, 13, 5, _NATIVE),
}


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/distilled')
    for task in FLAGS.tasks:
        check_choice('--tasks', task, tuple(ENTRIES))
    for task in () if FLAGS.draw_only else FLAGS.tasks:
        _run(task, path / task, console)
        distilled_page.write(path, tuple(ENTRIES))
    console.print(distilled_page.write(path, tuple(ENTRIES)), markup=False)


def _run(task: str, path: Path, console: Console) -> None:
    """Trains and distils what is not there yet, or not at its end."""
    entry, run = ENTRIES[task], RunDirectory(path)
    fields = {
        'seed': 100, 'num_seeds': FLAGS.num_seeds or entry.num_seeds,
        'episodes': entry.planner_episodes, 'training.validation_episodes': 0, **entry.fields,
    }  # fmt: skip
    if not run.finished_episodes:
        there = run.config_file.exists()
        config = mpq_jax.set_fields(mpq_jax.preset(task), fields)
        config = run.read_config() if there else config
        mpq_jax.train(config, path, resume=there, console=console)
    found = path / 'distilled' / 'distilled.json'
    if found.exists() and json.loads(found.read_text())['episodes'] >= entry.episodes:
        return
    mpq_jax.distil(
        path,
        {'episodes': entry.episodes, 'distil.from_buffer': False},  # as the first runs were
        resume=(path / 'distilled' / 'config.json').exists(),
        test_episodes=entry.test_episodes,
        console=console,
    )


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('tasks', list(ENTRIES), 'in this order')
    flags.DEFINE_integer('num_seeds', None, 'from 100 on, for a shorter table')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
