"""The DeMo Layer on ARS's linear policies: python -m experiments.demo_layer [--tasks=...].

On PETS's cartpole and the pendulum: the policies alone, and corrected along their own rollout by
one step of DMD-MPC, over step sizes, with the true model and a biased one; the planner alone, and
no control. Settings were chosen on seeds 0 to 9 (BUILD_NOTES.md), seeds from 100 on are shown. What
has run below --run_dir is not run again; demo_layer.json, .md and .png are written after each run.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

import mpq_jax
from experiments import demo_layer_page, demo_layer_tasks
from experiments.demo_layer_tasks import is_upright
from mpq_jax.base import keys
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.config import Batch
from mpq_jax.environments.episode import run_episode
from mpq_jax.evaluation.loading import load_run
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS
ALONE = (0.6, 1.0)
MODELS = ('true', 'biased')


class Entry(NamedTuple):
    """A task, and what suits it."""

    task: str
    training: dict[str, Any]  # of ARS
    planner: dict[str, Any]  # of the layer, and of the planner alone
    played: dict[str, Any]  # the real system of the episodes that count
    angle: Callable  # of qpos [..., nq]; 0 is upright
    steps: tuple[float, ...]  # of the layer
    once: dict[str, Any] = {}  # as many plans in one iteration, where there are more  # noqa: RUF012


_EQUATIONS = {'planner_physics.backend': 'equations', 'real_physics.backend': 'equations'}
ENTRIES = {
    'cartpole': Entry(
        'experiments.demo_layer_tasks:make_cartpole',
        # On a rail without end; what counts is on the one that ends at 2.5 m.
        _EQUATIONS | {'ars.step_size': 0.02, 'ars.noise': 0.05, 'episodes': 9600},
        {
            'planner.horizon': 20, 'planner.num_samples': 60, 'planner.iterations': 6,
            'planner.temperature': 0.02, 'planner.noise_variance': 0.1, 'planner.discount': 0.99,
        },
        {'planner_physics.backend': 'equations', 'real_system': 'mujoco'},
        demo_layer_tasks.cartpole_angle,
        (0.0, 0.3, 0.6, 1.0),
        {'planner.num_samples': 360, 'planner.iterations': 1},
    ),
    'pendulum': Entry(
        'experiments.demo_layer_tasks:make_pendulum',
        _EQUATIONS | {'ars.step_size': 0.1, 'ars.noise': 0.1},
        {
            'planner.horizon': 20, 'planner.num_samples': 60, 'planner.iterations': 3,
            'planner.temperature': 1.0, 'planner.noise_variance': 1.0,
        },
        _EQUATIONS,
        demo_layer_tasks.pendulum_angle,
        (0.0, 0.1, 0.3, 0.6, 0.9, 1.0),
    ),
}  # fmt: skip


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/demo_layer')
    for name in FLAGS.tasks:
        check_choice('--tasks', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.tasks:
        entry = ENTRIES[name]
        policy = path / name / 'ars'
        _run(policy, _config(entry, 'ars', entry.training), console)
        _count_swing_ups(policy, entry)
        for run, agent, fields, steps in _runs(entry, policy):
            config = _config(entry, agent, entry.planner | entry.played | fields)
            swept = tuple({'planner.step_size': step} for step in steps)
            _run(path / name / run, Batch(config, swept), console)
            demo_layer_page.write(path, tuple(ENTRIES))
    console.print(demo_layer_page.write(path, tuple(ENTRIES)), markup=False)


def _runs(entry: Entry, policy: Path) -> Iterator[tuple[str, str, dict[str, Any], tuple]]:
    """(name, agent, fields, step sizes) of the runs that learn nothing."""
    alone = {'planner.name': 'dmd', 'planner.covariance': 'fixed', 'planner.noise': 'white'}
    shared = [{'planner_model': model, 'episodes': 1} for model in MODELS]
    for model, own in zip(MODELS, shared, strict=True):
        yield f'layer_{model}', 'demo_layer', own | {'from_run': str(policy)}, entry.steps
    for model, own in zip(MODELS, shared, strict=True):
        yield f'planner_{model}', 'mppi', own | alone, ALONE
    if entry.once:
        once = shared[0] | {'from_run': str(policy)} | entry.once
        yield f'layer_{MODELS[0]}_once', 'demo_layer', once, ALONE


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


def _count_swing_ups(path: Path, entry: Entry) -> None:
    """Writes in how many of the same starts each seed's policy passes upright at some instant."""
    file = path / demo_layer_page.SWING_UPS
    if file.exists():
        return
    programs, saved, _ = load_run(path, task=entry.task)

    def passes(key, params, episode):
        key = keys.stream(key, programs.config.stream('test'), episode)
        planner, real = programs.config.planner, programs.real
        along = run_episode(planner, programs.agent, real, params, real.true_model(), key)
        return is_upright(entry.angle(along.transitions.next_state.qpos)).any()

    episodes = jnp.arange(FLAGS.episodes)
    of_member = jax.vmap(passes, in_axes=(None, None, 0))
    state = programs.compiler.layout.trimmed(saved.state)
    params = programs.algorithm.params(state)
    found = jax.jit(jax.vmap(of_member, in_axes=(0, 0, None)))(state.key, params, episodes)
    write_atomically(file, json.dumps(np.asarray(found).mean(axis=1).tolist()) + '\n')


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('tasks', list(ENTRIES), 'of the entries')
    flags.DEFINE_integer('seed', 100, 'the first')
    flags.DEFINE_integer('num_seeds', 5, 'seeds')
    flags.DEFINE_integer('episodes', 20, 'starts a seed')
    flags.DEFINE_string('starts', 'reports', "'tuning' to choose settings on")
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
