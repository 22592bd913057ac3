"""Tests a trained run: mpq evaluate --run_dir=... [--episodes=20].

With --video=episode.gif (or .mp4) the first of the episodes is drawn, for tasks with an MJCF.
"""

import os
from typing import Any

from absl import flags
from rich.console import Console

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.base.statistics import describe
from mpq_jax.commands import command_line
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.figures.video import installed_backend

FLAGS = flags.FLAGS
command_line.define_run_directory_flag()
flags.DEFINE_string('task', None, "the run's module:factory, where its task is your own")
command_line.define_planner_flag()
flags.DEFINE_integer('episodes', 20, 'test episodes a seed')
flags.DEFINE_string('parameters', 'last', "the 'last', or the 'best' by validation")
flags.DEFINE_string('video', None, 'a .gif or .mp4 to draw an episode into (MuJoCo tasks)')

_TITLES = {
    'own_return': "the environment's own return",
    'not_by_itself': 'success where no control fails',
    'control_steps': 'control steps an episode',
}


def main() -> None:
    if FLAGS.run_dir is None:
        raise mpq_jax.ConfigError('--run_dir', None, 'given: the run to evaluate')
    if FLAGS.planner is not None:
        mpq_jax.load_planner(FLAGS.planner)
    if FLAGS.video is not None:  # environments that draw themselves look for it at their import
        os.environ.setdefault('MUJOCO_GL', installed_backend())
    console = make_console()
    result = mpq_jax.evaluate(
        FLAGS.run_dir,
        FLAGS.episodes,
        parameters=FLAGS.parameters,
        task=FLAGS.task,
        video=FLAGS.video,
        console=console,
    )
    for figures in result.get('variants', [result]):
        if 'fields' in figures:
            console.print(figures['fields'])
        for name in ('return', 'own_return', *SUCCESSES, 'not_by_itself', 'control_steps'):
            if figures.get(name) is not None:
                _show(console, _TITLES.get(name, name), figures[name])
    if 'no_control' in result:
        for name in SUCCESSES:
            _show(console, f'no control: {name}', result['no_control'][name])
    video = f' and {FLAGS.video}' if FLAGS.video else ''
    console.print(f'{FLAGS.run_dir}: evaluation.json, episode.png{video}', markup=False)


def _show(console: Console, name: str, figure: dict[str, Any]) -> None:
    """The mean with its interval or the few seeds' values, then every seed."""
    means = {seed: own['mean'] for seed, own in figure['per_seed'].items()}
    means = {seed: float('nan') if mean is None else mean for seed, mean in means.items()}
    mean, low, high = (figure[part] for part in ('mean', 'low', 'high'))
    text = describe(mean, low, high, list(means.values()), digits=2)
    console.print(f'{name}: {text}, {len(means)} seeds', markup=False)
    if low is not None:
        for seed, value in means.items():
            console.print(f'  seed {seed}: {value:.2f}')


if __name__ == '__main__':
    command_line.run(main)
