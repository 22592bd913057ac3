"""Tuned against untuned: python -m experiments.tuning_table [--entries=...].

MPPI on two tasks of ours without their settings, and on three robots of others, with the settings
that `mpq tune` finds in --hours on seeds 0 to 9; shown on seeds from 100 on. Each part is a
directory below --run_dir, so the same command goes on where it was stopped; tuned.json and tuned.md
are written after each. --draw_only runs nothing.
"""

import dataclasses
import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags
from rich.console import Console

import mpq_jax
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.statistics import INTERVAL, against, describe_mean
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.config import PlannerConfig
from mpq_jax.config.fields import get_field
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.evaluation.task_look import look, proposed_temperature
from mpq_jax.runs.run_directory import manifest
from mpq_jax.sweep import SweepDirectory, run_sweep
from mpq_jax.sweep.grid import Fields, Grid
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.tasks import Task

FLAGS = flags.FLAGS


def pendulum() -> Task:
    """The pendulum as a newcomer has it: without its settings."""
    return _untuned('pendulum')


def ball_in_cup() -> Task:
    """Ball in cup without its settings, but for how finely its physics are stepped."""
    return _untuned('ball_in_cup')


def _untuned(name: str) -> Task:
    task = mpq_jax.load_task(name)
    physics = ('planner_physics.', 'real_physics.')
    settings = {name: value for name, value in task.settings.items() if name.startswith(physics)}
    return dataclasses.replace(task, settings=settings, agent_settings={}, presets={})


class Entry(NamedTuple):
    """A task without settings that anybody chose for it."""

    task: str
    episodes: int  # a seed, where it is shown
    hours: float
    tuning: tuple[str, ...]  # flags of `mpq tune`
    ours: str = ''  # the same task with the settings that it comes with


_FEW = ('--generation=6', '--num_seeds=3', '--episodes=1')
_OURS = ('--num_seeds=4', '--episodes=2', '--set=real_system=mujoco')
ENTRIES = {
    'pendulum': Entry('experiments.tuning_table:pendulum', 10, 0.1, _OURS, 'pendulum'),
    'ball_in_cup': Entry('experiments.tuning_table:ball_in_cup', 5, 0.1, _OURS, 'ball_in_cup'),
    'double_pendulum': Entry('experiments.robots.double_pendulum:make_task', 2, 0.33, _FEW),
    'half_cheetah': Entry('experiments.robots.half_cheetah:make_task', 2, 0.33, _FEW),
    'walker': Entry('experiments.robots.walker:make_task', 1, 0.33, _FEW),
}
_LABELS = ('no control', 'untuned', "mpq check's temperature", 'tuned', 'preset')
_DEFINITIONS = {
    'settings': "untuned: the task's; preset: those that a task of ours comes with",
    'figures': "mean over seeds of each seed's mean over its episodes",
    'interval': INTERVAL,
    'success': 'at any step; success_at_end: at the last one; success_share: share of time',
    'hours': 'of mpq tune, from its first generation to the winner, compiling included',
    'against_no_control': '95 % interval of the paired differences of returns above 0',
}


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/tuned')
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.entries:
        _run(ENTRIES[name], path, name, console)
        write(path)
    console.print(write(path), markup=False)


def _run(entry: Entry, path: Path, name: str, console: Console) -> None:
    """Tunes, unless that is done; then the same seeds for each row."""
    tuned = path / 'tune' / name
    if not (tuned / 'settings.json').exists():
        hours = entry.hours if FLAGS.hours is None else FLAGS.hours
        command = [sys.executable, '-m', 'mpq_jax.commands.tune', f'--task={entry.task}']
        command += [*entry.tuning, f'--hours={hours}', f'--run_dir={tuned}']
        subprocess.run(command, check=True)
    shown = {
        'seed': 100, 'num_seeds': FLAGS.num_seeds, 'real_system': 'mujoco',
        'episodes': FLAGS.episodes or entry.episodes,
    }  # fmt: skip
    points = _points(entry, json.loads((tuned / 'settings.json').read_text()))
    (path / name).mkdir(exist_ok=True)
    write_atomically(path / name / 'points.json', json.dumps(points, indent=1) + '\n')
    distinct = tuple({json.dumps(point): point for point in points.values()}.values())
    mppi = shown | {'task': entry.task, 'agent': 'mppi'}
    run_sweep(Grid.of(mppi, distinct), path / name / 'mppi', console=console)
    none = shown | {'task': entry.task}
    run_sweep(Grid.of(none, ({'agent': 'none'},)), path / name / 'no_control', console=console)
    if entry.ours:
        own = shown | {'task': entry.ours}
        run_sweep(Grid.of(own, ({'agent': 'mppi'},)), path / name / 'preset', console=console)


def _points(entry: Entry, winner: Fields) -> dict[str, Fields]:
    """The fields that were searched: as they were, as they were found, and on the way."""
    base = mpq_jax.preset(entry.task, 'mppi')
    assert isinstance(base.planner, PlannerConfig)
    untuned: Fields = {field: get_field(base, field) for field in winner}
    points = {'untuned': untuned, 'tuned': winner}
    found = look(mpq_jax.load_task(entry.task), base.planner)
    if found.plan_cost_spread:
        temperature = {'planner.temperature': proposed_temperature(found)}
        points["mpq check's temperature"] = untuned | temperature
    return points


def write(path: Path) -> str:
    """Writes tuned.json and tuned.md of what has run; returns the table."""
    rows = [row for name in ENTRIES for row in _rows(path, name)]
    content = {'definitions': _DEFINITIONS, 'made_by': manifest(), 'rows': rows}
    write_atomically(path / 'tuned.json', json.dumps(content, indent=1) + '\n')
    text = markdown(rows)
    write_atomically(path / 'tuned.md', text)
    return text


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    """No control, untuned, tuned, and the preset; as far as they have run."""
    found: dict[str, Outcome] = {}
    points = path / name / 'points.json'
    for part in ('no_control', 'mppi', 'preset'):
        directory = SweepDirectory(path / name / part)
        for outcome in read_outcomes(directory) if directory.sweep_file.exists() else ():
            if part != 'mppi':
                found[part.replace('_', ' ')] = outcome
                continue
            for label, fields in json.loads(points.read_text()).items():
                if fields == outcome.fields:
                    found[label] = outcome
    hours = {'tuned': _hours(path / 'tune' / name)}
    return [
        {'entry': name, 'settings': label, 'hours': hours.get(label), 'fields': found[label].fields}
        | _figures(found[label])
        for label in _LABELS
        if label in found
    ]


def _figures(outcome: Outcome) -> dict[str, Any]:
    tables = {name: outcome.tables[name] for name in ('return', *SUCCESSES)}
    each = {
        name: np.round(table.mean(axis=1), 5).tolist()
        for name, table in tables.items()
        if not np.isnan(table).all()
    }
    return {'seeds': outcome.seeds, 'episodes': tables['return'].shape[1], **each}


def _hours(path: Path) -> float | None:
    """Between the first generation's beginning and the winner."""
    begun, done = path / 'generation_000' / 'manifest.json', path / 'settings.json'
    if not (begun.exists() and done.exists()):
        return None
    date = datetime.datetime.fromisoformat(json.loads(begun.read_text())['date'])
    return round((done.stat().st_mtime - date.timestamp()) / 3600, 2)


def markdown(rows: list[dict[str, Any]]) -> str:
    """One table: a row for each task and its settings."""
    head = [
        'task',
        'settings',
        'return',
        'success, at the end, share of time',
        'against no control',
    ]
    head += ['hours of tuning']
    lines = [' | '.join(['', *head, '']).strip(), '|' + '---|' * len(head)]
    idle = {row['entry']: _by_seed(row) for row in rows if row['settings'] == 'no control'}
    lines += [' | '.join(['', *_cells(row, idle), '']).strip() for row in rows]
    return '\n'.join(lines) + '\n'


def _cells(row: dict[str, Any], idle: dict[str, dict[int, float]]) -> list[str]:
    successes = ', '.join(
        describe_mean(np.array(row[name]), 2, row['episodes']) for name in SUCCESSES if name in row
    )
    versus = '' if row['settings'] == 'no control' else against(_by_seed(row), idle[row['entry']])
    hours = '' if row['hours'] is None else f'{row["hours"]:.2f}'
    returns = describe_mean(np.array(row['return']))
    return [row['entry'], row['settings'], returns, successes, versus, hours]


def _by_seed(row: dict[str, Any]) -> dict[int, float]:
    return dict(zip(row['seeds'], row['return'], strict=True))


def define_flags() -> None:
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'which tasks')
    flags.DEFINE_float('hours', None, 'of mpq tune, for each; default: as in the table')
    flags.DEFINE_integer('num_seeds', 5, 'from 100 on')
    flags.DEFINE_integer('episodes', None, 'a seed, for a shorter table')
    flags.DEFINE_bool('draw_only', False, 'run nothing more: the table of what --run_dir holds')


if __name__ == '__main__':
    define_flags()
    command_line.run(main)
