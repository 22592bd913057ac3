"""The DeMo Layer on ARS's linear policies: python -m experiments.demo_layer [--tasks=...].

On PETS's cartpole and the pendulum: the policies alone, and corrected along their own rollout by
one step of DMD-MPC, over step sizes, with the true model and a biased one; the planner alone, and
no control. Settings were chosen on seeds 0 to 9 (BUILD_NOTES.md), seeds from 100 on are shown. What
has run below --run_dir is not run again; demo_layer.json, .md and .png are written after each run.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

import mpq_jax
from experiments import demo_layer_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.config import Batch
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS
STEPS = (0.0, 0.1, 0.3, 0.6, 0.9, 1.0)
MODELS = ('true', 'biased')


class Entry(NamedTuple):
    """A task, and what suits it."""

    task: str
    training: dict[str, Any]  # of ARS
    planner: dict[str, Any]  # of the layer, and of the planner alone
    played: dict[str, Any]  # the real system of the episodes that count


_EQUATIONS = {'planner_physics.backend': 'equations', 'real_physics.backend': 'equations'}
ENTRIES = {
    'cartpole': Entry(
        'experiments.demo_layer_tasks:make_cartpole',
        _EQUATIONS,  # a rail without end; what counts is on the one that ends at 2.5 m
        {'planner.horizon': 20, 'planner.num_samples': 60, 'planner.temperature': 0.02},
        {'planner_physics.backend': 'equations', 'real_system': 'mujoco'},
    ),
    'pendulum': Entry('experiments.demo_layer_tasks:make_pendulum', _EQUATIONS, {}, _EQUATIONS),
}


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/demo_layer')
    for name in FLAGS.tasks:
        check_choice('--tasks', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.tasks:
        entry = ENTRIES[name]
        policy = path / name / 'ars'
        _run(policy, _config(entry, 'ars', entry.training), console)
        for model in MODELS:
            own = entry.planner | entry.played | {'planner_model': model, 'episodes': 1}
            layer = _config(entry, 'demo_layer', own | {'from_run': str(policy)})
            steps = tuple({'planner.step_size': step} for step in STEPS)
            _run(path / name / f'layer_{model}', Batch(layer, steps), console)
            alone = {'planner.name': 'dmd', 'planner.covariance': 'fixed', 'planner.step_size': 1.0}
            _run(path / name / f'planner_{model}', _config(entry, 'mppi', own | alone), console)
            demo_layer_page.write(path, tuple(ENTRIES))
    console.print(demo_layer_page.write(path, tuple(ENTRIES)), markup=False)


def _config(entry: Entry, agent: str, fields: dict[str, Any]) -> mpq_jax.Config:
    shared = {'seed': FLAGS.seed, 'num_seeds': FLAGS.num_seeds, 'starts': FLAGS.starts}
    return mpq_jax.set_fields(mpq_jax.preset(entry.task, agent), shared | fields)


def _run(path: Path, runs: mpq_jax.Config | Batch, console) -> None:
    """Trains what learns, and plays the episodes that count, where that has not been done."""
    run = RunDirectory(path)
    if not run.finished_episodes:
        mpq_jax.train(runs, path, resume=run.config_file.exists(), console=console)
    if run.evaluation_file.exists():
        played = json.loads(run.evaluation_file.read_text())['test_episodes_per_seed']
        if played == FLAGS.episodes:
            return
    mpq_jax.evaluate(path, FLAGS.episodes, task=Batch.of(runs).config.task, console=console)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('tasks', list(ENTRIES), 'of the entries')
    flags.DEFINE_integer('seed', 100, 'the first')
    flags.DEFINE_integer('num_seeds', 5, 'seeds')
    flags.DEFINE_integer('episodes', 100, 'starts a seed')
    flags.DEFINE_string('starts', 'reports', "'tuning' to choose settings on")
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
