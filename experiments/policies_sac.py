"""SAC on Gymnasium's two pendulums: python -m experiments.policies_sac [--entries=...].

Seeds from 100 on, beside the rows of Stable-baselines3 that `experiments/sac_reference.py` has
written to reference.json in --run_dir. Each seed of an entry is a run below it, and goes on where
it was stopped; sac.json, .md and the figure are written after each. --draw_only runs nothing.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from absl import flags

import mpq_jax
from experiments import policies_sac_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.tasks import Reading, Task

FLAGS = flags.FLAGS


def pendulum_v1() -> Task:
    """Gymnasium's Pendulum-v1: the pendulum, whose torque costs."""
    task = mpq_jax.load_task('pendulum')

    def cost(reading: Reading, variables, action) -> jax.Array:
        return task.cost(reading, variables, action) + 1e-3 * jnp.sum((2.0 * action) ** 2)

    return dataclasses.replace(task, cost=cost)


def inverted_pendulum() -> Task:
    """Gymnasium's InvertedPendulum-v5, paid as there: 1 for each step that does not end in a fall.

    The task's own way, a fall that costs 100, is the same objective but for a constant, and not
    the same to a network that begins near 0.
    """
    task = mpq_jax.load_task('gymnasium:InvertedPendulum-v5')
    return dataclasses.replace(
        task,
        cost=lambda reading, variables, action: jnp.full((), -1.0),
        terminal_cost=lambda reading, variables: jnp.ones(()),
    )


class Entry(NamedTuple):
    """Runs to a number of control steps a seed."""

    steps: int
    reference: str  # Gymnasium's id, as the other library's rows have it
    fields: dict[str, Any]


_SHARED = {'training.validation_episodes': 0, 'learner.buffer_capacity': 25_000}
_PENDULUM = _SHARED | {
    'task': 'experiments.policies_sac:pendulum_v1',
    'real_physics.backend': 'equations',
    'sac.learning_rate': 1e-3,
}
_INVERTED = _SHARED | {
    'task': 'experiments.policies_sac:inverted_pendulum',
    'real_system': 'gymnasium',
}
ENTRIES = {
    'pendulum': Entry(20_000, 'Pendulum-v1', _PENDULUM),
    'inverted_pendulum': Entry(10_000, 'InvertedPendulum-v5', _INVERTED),
    'pendulum_none': Entry(4000, 'Pendulum-v1', _PENDULUM | {'agent': 'none'}),
    'inverted_pendulum_none': Entry(400, 'InvertedPendulum-v5', _INVERTED | {'agent': 'none'}),
}


def run_seed(entry: Entry, seed: int, path: Path) -> None:
    fields: dict[str, Any] = {
        'agent': 'sac',
        'seed': seed,
        'num_seeds': 1,
        'episodes': entry.steps,  # more than there can be
        'training.max_env_steps': entry.steps,
        **entry.fields,
    }
    task, agent = fields.pop('task'), fields.pop('agent')
    config = mpq_jax.set_fields(mpq_jax.preset(task, agent), fields)
    if not RunDirectory(path).finished(config):
        mpq_jax.train(config, path, resume=RunDirectory(path).config_file.exists())


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/sac')
    if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:  # seeds share their programs
        jax.config.update('jax_compilation_cache_dir', str(path / 'compiled'))
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for seed in range(100, 100 + FLAGS.num_seeds):
        for name in () if FLAGS.draw_only else FLAGS.entries:
            run_seed(ENTRIES[name], seed, path / name / str(seed))
            policies_sac_page.write(path, ENTRIES)
    console.print(policies_sac_page.write(path, ENTRIES), markup=False)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'what is run')
    flags.DEFINE_integer('num_seeds', 5, 'from 100 on')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
