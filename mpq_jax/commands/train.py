"""Trains an agent: mpq train [--task=... --agent=... --run_dir=...].

Without flags it runs the demonstration: MPQ at H = 8 on a pendulum whose true mass and
length its planner does not know, beside plain MPPI at the same and at the long horizon.
"""

import sys

from absl import flags

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.commands import command_line
from mpq_jax.comparison import baselines as comparison
from mpq_jax.config import Batch
from mpq_jax.runs.run_directory import RunDirectory

FLAGS = flags.FLAGS
command_line.define_run_flags()
command_line.define_run_directory_flag()
flags.DEFINE_bool('resume', False, 'continue the run in --run_dir')
flags.DEFINE_bool('baselines', None, 'no control, and plain MPPI at two horizons, beside it')

_DEMONSTRATION = {'seed': 100, 'num_seeds': 5, 'episodes': 30, 'training.baselines': True}


def main() -> None:
    console = make_console()
    batch, run_dir = _resumed() if FLAGS.resume else _new(demonstration=len(sys.argv) == 1)
    if len(sys.argv) == 1:
        console.print(
            'Demonstration: MPQ learns the pendulum; its planner believes in a rod that is '
            f'heavier and longer than it is.\nAs: mpq train --task=pendulum '
            f'--agent=mpq --seed=100 --num_seeds=5 --episodes=30 --baselines --run_dir={run_dir}\n'
        )
    comparison.baselines(batch)  # whether they can run is said before anything does
    nothing_learned = None
    try:
        mpq_jax.train(batch, run_dir, resume=FLAGS.resume, console=console)
    except mpq_jax.NothingLearnedError as error:  # the table says it as well
        nothing_learned = error
    if nothing_learned is None:
        comparison.run_baselines(batch, RunDirectory(run_dir), console)
    comparison.finish(batch.config, RunDirectory(run_dir), console)
    if nothing_learned is not None:
        raise nothing_learned


def _new(demonstration: bool) -> tuple[Batch, str]:
    defaults = _DEMONSTRATION if demonstration else {}
    if FLAGS.baselines is not None:
        defaults = defaults | {'training.baselines': FLAGS.baselines}
    config = command_line.config_from_flags(FLAGS, **defaults)
    return Batch(config), FLAGS.run_dir or command_line.default_run_dir(config)


def _resumed() -> tuple[Batch, str]:
    """What the run directory holds, with the fields that flags name."""
    if FLAGS.run_dir is None:
        raise mpq_jax.ConfigError('--run_dir', None, 'given with --resume')
    if FLAGS.planner is not None:
        mpq_jax.load_planner(FLAGS.planner)
    batch = RunDirectory(FLAGS.run_dir).read_batch(FLAGS.task)
    given = command_line.given_fields(FLAGS, [batch.config.planner.name])
    if FLAGS.agent is not None:
        given['agent'] = FLAGS.agent
    if FLAGS.baselines is not None:
        given['training.baselines'] = FLAGS.baselines
    config = mpq_jax.set_fields(batch.config, given)
    return Batch(config, batch.variants).validate(), FLAGS.run_dir


if __name__ == '__main__':
    command_line.run(main)
