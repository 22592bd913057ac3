"""Settings for a task that nobody tuned: mpq tune --task=module:factory --hours=0.3.

Searches temperature, noise, discount and horizon (with --agent=mpq the learning budget too) on
tuning seeds and training starts by Optuna (extra `tune`); --space=planner.name=mppi,cem planners
too. The same command goes on where it was stopped. tried.csv has all it tried; settings.json the
winner, to be the task's `settings`.
"""

import os
from pathlib import Path

from absl import flags

import mpq_jax
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice
from mpq_jax.commands import command_line
from mpq_jax.config import Config, PlannerConfig
from mpq_jax.config.fields import PLANNER, field_types, get_field, numeric_fields, type_of
from mpq_jax.evaluation.task_look import look
from mpq_jax.sweep.grid import Fields, parse_sweeps
from mpq_jax.sweep.tuning import Between, Space, Tuned, tune
from mpq_jax.tasks import load_task

FLAGS = flags.FLAGS
command_line.define_run_directory_flag()
flags.DEFINE_string('task', None, 'registered name, or module:factory of your own')
flags.DEFINE_enum('agent', 'mppi', ['mppi', 'mpq'], 'whose settings')
flags.DEFINE_float('hours', 0.5, 'after which no further generation begins')
flags.DEFINE_integer('generation', 8, 'points tried at once')
flags.DEFINE_integer('num_seeds', 4, 'from 0 on; as many further ones judge the best')
flags.DEFINE_integer('episodes', None, 'a seed; default 3, of an agent that learns 15')
flags.DEFINE_multi_string('space', [], 'field=low:high (by logarithm) or field=a,b,c; repeated')
flags.DEFINE_multi_string('set', [], 'any config field, for all points')


def main() -> None:
    if FLAGS.task is None:
        raise ConfigError('--task', None, 'a registered name, or module:factory of your own')
    check_at_least('--generation', FLAGS.generation, 1)
    check_between('--num_seeds', FLAGS.num_seeds, 1, 5)  # seeds 0 to 9 are for choosing
    check_between('--hours', FLAGS.hours, 0.0, None)
    console = make_console()
    preset, given = mpq_jax.preset(FLAGS.task, FLAGS.agent), command_line.given_fields(FLAGS)
    assert isinstance(preset.planner, PlannerConfig)
    config = mpq_jax.set_fields(preset, given)
    space = _space(preset.planner, config)
    start: Fields = {name: get_field(config, name) for name in space}
    episodes = FLAGS.episodes or (15 if config.learns else 3)
    fixed = {
        'task': FLAGS.task, 'agent': FLAGS.agent, 'seed': 0, 'num_seeds': FLAGS.num_seeds,
        'episodes': episodes, 'training.validation_episodes': 0, **given,
    }  # fmt: skip
    path = Path(FLAGS.run_dir or os.path.join('runs', f'tune_{_slug(FLAGS.task)}_{FLAGS.agent}'))
    tuned = tune(
        fixed, space, start, path, hours=FLAGS.hours, generation=FLAGS.generation, console=console
    )
    console.print(_summary(tuned, path), markup=False)


def _space(planner: PlannerConfig, config: Config) -> Space:
    """What is searched: temperatures in the task's own scale of costs, which is measured.

    Of the fields that every planner has, which is searched.
    """
    own: dict[str, Between | list] = {}
    configs = [config]
    for text in sorted(FLAGS.space, key=lambda text: not text.strip().startswith(PLANNER)):
        own |= _parsed(text, configs)
        configs = [
            mpq_jax.set_fields(config, {PLANNER: x}) for x in own.get(PLANNER, ())
        ] or configs
    for name in own:
        for one in configs:
            type_of(one, name)
    spread = look(load_task(FLAGS.task), planner).plan_cost_spread or 1.0
    horizons = sorted({max(4, planner.horizon // 2), max(4, planner.horizon), 2 * planner.horizon})
    space: dict[str, Between | list] = {
        'planner.temperature': Between(2e-3 * spread, 0.5 * spread),
        'planner.noise_variance': Between(0.02, 4.0),
        'planner.horizon': horizons,
        'planner.noise': ['white', 'knots', 'coloured'],
        'planner.discount': [0.9, 0.97, 0.99],
    }
    if FLAGS.agent == 'mpq':
        space |= {'learner.epochs': [20, 80], 'learner.learning_rate': Between(3e-4, 3e-3)}
    common = [name for name in space if all(name in field_types(one) for one in configs)]
    return {name: space[name] for name in common} | own


def _parsed(text: str, configs: list[Config]) -> dict[str, Between | list]:
    """'planner.colour=0.5:2' or 'planner.knots=2,4'."""
    name, equals, values = (part.strip() for part in text.partition('='))
    wanted = 'of the form field=low:high, or field=a,b,c'
    if not (name and equals and values):
        raise ConfigError('--space', text, wanted)
    if ':' not in values or name == PLANNER:
        return {k: list(v) for k, v in parse_sweeps([text], configs).items()}
    try:
        low, high = map(float, values.split(':'))
    except ValueError:
        raise ConfigError('--space', text, wanted) from None
    if not 0 < low < high:
        raise ConfigError('--space', text, f'{wanted}, with 0 < low < high')
    check_choice('--space', name, numeric_fields(configs[0]))
    return {name: Between(low, high)}


def _slug(task: str) -> str:
    return task.replace(':', '_').replace('.', '_')


def _summary(tuned: Tuned, path: Path) -> str:
    before, after = tuned.before, tuned.after
    settings = ', '.join(f'{name!r}: {value!r}' for name, value in tuned.winner.items())
    each = [f'({", ".join(f"{x:.4g}" for x in one.returns)})' for one in (before, after)]
    return (
        f'{len(tuned.tried)} points tried ({path}/tried.csv). On seeds of the final alone: as it '
        f'was {before.score:.4g} {each[0]}, the winner {after.score:.4g} {each[1]}\n'
        f'{path}/settings.json; in the task: settings={{{settings}}}'
    )


if __name__ == '__main__':
    command_line.run(main)
