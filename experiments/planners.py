"""Planners and noises, without a learned Q: python -m experiments.planners [--entries=...].

Ten combinations and no control on the four tasks. A combination's numbers are chosen on seeds 0 to
4, four episodes each, at the task's own horizon, by the mean return; they are shown on seeds from
100 on. Each combination is a sweep below --run_dir, so the same command goes on where it was
stopped; planners.json and planners.md are written after each. --draw_only runs nothing.
--agent=mpq: the same acting under a learned Q, with MPQ's own numbers. A planners.json that is put
into --run_dir stands for the runs it is of.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from absl import flags
from rich.console import Console

from experiments import planners_table
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.benchmarks.contenders import Cell, plan_call
from mpq_jax.benchmarks.measure import take_turns
from mpq_jax.commands import command_line
from mpq_jax.config import PlannerConfig
from mpq_jax.suite.presets import preset
from mpq_jax.sweep import SweepDirectory, run_sweep
from mpq_jax.sweep.grid import Fields, Grid, product
from mpq_jax.sweep.results import Outcome, read_outcomes

FLAGS = flags.FLAGS


class Combination(NamedTuple):
    """A planner with a noise: fields of the planner, and the values its numbers are chosen from."""

    fields: Callable[[int], Fields]  # of the horizon
    choices: Callable[[PlannerConfig], dict[str, list[float]]]  # of MPPI's settings for the task


def _around(config: PlannerConfig) -> dict[str, list[float]]:
    """A task's own and a quarter, of the noise and of the temperature."""
    names = ('noise_variance', 'temperature')
    values: dict[str, float] = {name: getattr(config, name) for name in names}
    return {f'planner.{name}': [value, value / 4] for name, value in values.items()}


def _variances(config: PlannerConfig, count: int = 4) -> dict[str, list[float]]:
    return {'planner.noise_variance': [config.noise_variance / 4**i for i in range(count)]}


def _white(horizon: int) -> Fields:
    return {}


def _named(name: str, **fields: Any) -> Callable[[int], Fields]:
    own = {f'planner.{field}': value for field, value in fields.items()}
    return lambda horizon: {'planner.name': name} | own


def _knots(horizon: int) -> Fields:
    return {'planner.noise': 'knots', 'planner.knots': max(1, horizon // 2)}


def _coloured(colour: float) -> Callable[[int], Fields]:
    fields = {'planner.noise': 'coloured', 'planner.colour': colour, 'planner.tail': 'prior'}
    return lambda horizon: dict(fields)


COMBINATIONS: Mapping[str, Combination] = {
    'mppi': Combination(_white, _around),
    'mppi_knots': Combination(_knots, _around),
    'mppi_pink': Combination(_coloured(1.0), _around),
    'mppi_brown': Combination(_coloured(2.0), _around),
    'mppi_target_ess': Combination(
        lambda horizon: {'planner.temperature_rule': 'target_ess'},
        lambda config: (
            _variances(config, 2)
            | {'planner.target_ess': [config.num_samples / 8, config.num_samples / 3]}
        ),
    ),
    'mppi_without_control_term': Combination(_named('dmd', covariance='fixed'), _around),
    'dmd': Combination(_named('dmd'), _around),
    'cem': Combination(
        _named('cem'),
        lambda config: _variances(config, 2) | {'planner.elite_fraction': [0.1, 0.3]},
    ),
    'predictive_sampling': Combination(
        lambda horizon: (
            _named('predictive_sampling', interpolation='cubic')(horizon) | _knots(horizon)
        ),
        _variances,
    ),
    'random_shooting': Combination(_named('random_shooting'), lambda config: {}),
}
NO_CONTROL = 'no_control'

# On a CPU: contacts are planned natively, and the true system is native MuJoCo as well.
_NATIVE = {'planner_physics.backend': 'mujoco', 'real_system': 'mujoco'}
# Where a combination says nothing: the pendulum's preset has knots.
_WHITE_NOISE = {'planner.noise': 'white'}


class Entry(NamedTuple):
    """A task at a horizon, five seeds."""

    task: str
    horizon: int
    fields: Fields
    episodes: int = 20
    combinations: tuple[str, ...] = tuple(COMBINATIONS)


ENTRIES = {
    'pendulum': Entry('pendulum', 8, _WHITE_NOISE),
    'ball_in_cup': Entry('ball_in_cup', 4, _NATIVE),
    'franka_drawer': Entry('franka_drawer', 10, _NATIVE),
    'fetch_push': Entry('fetch_push', 10, _NATIVE),
    'pendulum_h32': Entry('pendulum', 32, _WHITE_NOISE),
    'franka_drawer_h16': Entry('franka_drawer', 16, _NATIVE),
    'franka_drawer_h64': Entry(
        'franka_drawer', 64, _NATIVE, 5, ('mppi', 'mppi_knots', 'dmd', 'cem')
    ),
    'ball_in_cup_h48': Entry('ball_in_cup', 48, _NATIVE),
}


def main() -> None:
    console = make_console()
    if FLAGS.time:
        path = Path(FLAGS.run_dir or 'runs/planners')
        for name in FLAGS.entries:
            _time(name, path, console)
        planners_table.write(path, {n: tuple(entry) for n, entry in ENTRIES.items()}, console)
        return
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for name in FLAGS.combinations:
        check_choice('--combinations', name, tuple(COMBINATIONS))
    path = Path(FLAGS.run_dir or 'runs/planners')
    for name in () if FLAGS.draw_only else FLAGS.entries:
        _run(name, path, console)
    planners_table.write(path, {name: tuple(entry) for name, entry in ENTRIES.items()}, console)


def _run(name: str, path: Path, console: Console) -> None:
    entry, agent = ENTRIES[name], {'agent': FLAGS.agent}
    shown = {
        'seed': 100,
        'num_seeds': FLAGS.num_seeds,
        'episodes': FLAGS.episodes or entry.episodes,
    }
    if not planners_table.kept_row(path, name, NO_CONTROL):
        _sweep(path / name / NO_CONTROL, {'agent': 'none'}, entry, shown, (), console)
    for which in entry.combinations:
        if which not in FLAGS.combinations or planners_table.kept_row(path, name, which):
            continue
        point = _chosen(which, entry, path, console)
        fields = COMBINATIONS[which].fields(entry.horizon) | {'planner.horizon': entry.horizon}
        _sweep(path / name / which, agent | fields, entry, shown, (point,), console)
        planners_table.write(path, {n: tuple(e) for n, e in ENTRIES.items()}, None)


def _time(name: str, path: Path, console: Console) -> None:
    """Milliseconds of a plan, all combinations taking turns: `plan_milliseconds.json`."""
    entry = ENTRIES[name]
    planner = preset(entry.task, 'mppi').planner
    cell = Cell(entry.task, planner.num_samples, entry.horizon, 1)
    backend = 'mujoco' if 'planner_physics.backend' in entry.fields else 'mjx'
    calls = {}
    for which in entry.combinations:
        console.print(f'{name}: compiling {which} ...', markup=False)
        fields = COMBINATIONS[which].fields(entry.horizon)
        calls[which] = plan_call(cell, 'mppi', backend, fields)[0]
    found = take_turns(calls, 50, enough=12.0)
    milliseconds = {which: round(1000 * timing.median, 3) for which, timing in found.items()}
    write_atomically(
        path / f'plan_milliseconds_{name}.json', json.dumps(milliseconds, indent=1) + '\n'
    )


def _chosen(which: str, entry: Entry, path: Path, console: Console) -> Fields:
    """The numbers of a combination on a task: the best mean return, the first of equals."""
    combination, base = COMBINATIONS[which], preset(entry.task, FLAGS.agent).planner
    assert isinstance(base, PlannerConfig)
    choices = combination.choices(base)
    if FLAGS.agent == 'mpq':  # its own
        choices = {name: values[:1] for name, values in choices.items()}
    points = product(choices)
    if len(points) == 1:
        return {'planner.noise_variance': base.noise_variance} | points[0]
    seeds = {'seed': 0, 'num_seeds': FLAGS.tuning_seeds, 'episodes': FLAGS.tuning_episodes}
    fields = {'agent': 'mppi'} | combination.fields(base.horizon)
    outcomes = _sweep(path / 'tuning' / entry.task / which, fields, entry, seeds, points, console)
    return max(outcomes, key=lambda outcome: outcome.tables['return'].mean()).fields


def _sweep(
    path: Path, fields: Fields, entry: Entry, seeds: Fields, points: tuple, console: Console
) -> list[Outcome]:
    """What a sweep came to, once it has run."""
    fixed = {'task': entry.task} | entry.fields | fields | seeds
    if fields['agent'] == 'none':
        fixed['planner_physics.backend'], points = 'auto', ({'agent': 'none'},)
    run_sweep(Grid.of(fixed, points), path, console=console)
    return read_outcomes(SweepDirectory(path))


def define_flags() -> None:
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'a task, or a task at another horizon')
    flags.DEFINE_list('combinations', list(COMBINATIONS), 'of planner and noise')
    flags.DEFINE_enum('agent', 'mppi', ['mppi', 'mpq'], 'plain, or with a learned Q')
    flags.DEFINE_integer('num_seeds', 5, 'from 100 on')
    flags.DEFINE_integer('episodes', None, 'a seed, for a shorter table')
    flags.DEFINE_integer('tuning_seeds', 5, 'from 0 on')
    flags.DEFINE_integer('tuning_episodes', 4, 'a seed')
    flags.DEFINE_bool('time', False, "run nothing but plans, one iteration each: the table's times")
    flags.DEFINE_bool('draw_only', False, 'run nothing more: the table of what --run_dir holds')


if __name__ == '__main__':
    define_flags()
    command_line.run(main)
