"""MPQ(lambda) over lambda, horizons and models: python -m experiments.mpq_lambda [--entries=...].

All values are shown, none was chosen: seeds from 100 on. Each entry is a sweep below --run_dir, so
the same command goes on where it was stopped; mpq_lambda.json, .md and .png are written after each.
--draw_only runs nothing.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import flags

from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.statistics import INTERVAL, confidence_interval, describe_mean
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import manifest
from mpq_jax.runs.tables import last_quarter
from mpq_jax.sweep import SweepDirectory, run_sweep
from mpq_jax.sweep.grid import Fields, Grid, product
from mpq_jax.sweep.results import read_outcomes

FLAGS = flags.FLAGS


class Entry(NamedTuple):
    """A sweep: what its points share, and what they differ in."""

    fixed: Fields
    swept: dict[str, list[Any]]


_NATIVE = {'planner_physics.backend': 'mujoco', 'real_system': 'mujoco'}
_PENDULUM: dict[str, list[Any]] = {'planner.horizon': [4, 8], 'planner_model': ['biased', 'true']}
# White noise, with which lambda was compared first.
_SWING_UP = {'task': 'pendulum', 'episodes': 50, 'planner.noise': 'white'}
_LINEAR = {
    'planner.td_schedule': 'linear', 'planner.td_lambda_final': 0.5, 'planner.td_episodes': 25.0,
}  # fmt: skip
ENTRIES = {
    'pendulum_constant': Entry(
        {**_SWING_UP, 'planner.td_schedule': 'constant'},
        {'planner.td_lambda': [0.0, 0.5, 0.8, 0.95, 1.0], **_PENDULUM},
    ),
    'pendulum_linear': Entry({**_SWING_UP, **_LINEAR}, _PENDULUM),
    'ball_in_cup_constant': Entry(
        {'task': 'ball_in_cup', 'episodes': 100, 'planner.td_schedule': 'constant', **_NATIVE},
        {'planner.td_lambda': [0.5, 0.95, 1.0], 'planner.horizon': [4]},
    ),
}


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/mpq_lambda')
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.entries:
        entry = ENTRIES[name]
        fixed = {'agent': 'mpq', 'seed': 100, 'num_seeds': FLAGS.num_seeds, **entry.fixed}
        if FLAGS.episodes:
            fixed['episodes'] = FLAGS.episodes
        run_sweep(Grid.of(fixed, product(entry.swept)), path / name, console=console)
        write(path)
    console.print(write(path), markup=False)


def write(path: Path) -> str:
    """The table, the figure and the rows of what has run; returns the table."""
    rows = [row for name in ENTRIES for row in _rows(path, name)]
    content = {'interval': INTERVAL, 'made_by': manifest(), 'rows': rows}
    write_atomically(path / 'mpq_lambda.json', json.dumps(content, indent=1) + '\n')
    text = _table(rows)
    write_atomically(path / 'mpq_lambda.md', text)
    _draw(rows, path / 'mpq_lambda.png')
    return text


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    directory = SweepDirectory(path / name)
    if not directory.sweep_file.exists():
        return []
    entry, rows = ENTRIES[name], []
    for outcome in read_outcomes(directory):
        success = not np.isnan(outcome.tables['success']).all()
        table = outcome.tables['success' if success else 'return']
        rows.append(
            {
                'task': entry.fixed['task'],
                'lambda': outcome.fields.get('planner.td_lambda', '1 to 0.5'),
                'horizon': outcome.fields['planner.horizon'],
                'model': outcome.fields.get('planner_model', 'biased'),
                'measure': 'success' if success else 'return',
                'seeds': outcome.seeds,
                'episodes': table.shape[1],
                'all': np.round(table.mean(axis=1), 4).tolist(),
                'last_quarter': np.round(last_quarter(table).mean(axis=1), 4).tolist(),
            }
        )
    return rows


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ['| task, H, model | lambda | all episodes | last quarter |', '|---|---|---|---|']
    for row in sorted(rows, key=lambda r: (r['task'], r['horizon'], r['model'], str(r['lambda']))):
        success = row['measure'] == 'success'
        figures = [
            describe_mean(np.array(row[name]), 2 if success else 0, count if success else None)
            for name, count in (('all', row['episodes']), ('last_quarter', row['episodes'] // 4))
        ]
        what = f'{row["task"]}, H={row["horizon"]}, {row["model"]}'
        lines.append(f'| {what} | {row["lambda"]} | {figures[0]} | {figures[1]} |')
    return '\n'.join(lines) + '\n'


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Means over all episodes against lambda, with intervals over seeds."""
    tasks = list(dict.fromkeys(row['task'] for row in rows))
    figure = plots.new_figure(6.0 * max(1, len(tasks)), 4.0)
    for place, task in enumerate(tasks):
        axes = figure.add_subplot(1, len(tasks), place + 1)
        own = [row for row in rows if row['task'] == task and row['lambda'] != '1 to 0.5']
        for horizon, model in dict.fromkeys((row['horizon'], row['model']) for row in own):
            line = [r for r in own if (r['horizon'], r['model']) == (horizon, model)]
            means = np.array([np.mean(r['all']) for r in line])
            bounds = np.array([confidence_interval(np.array(r['all'])) for r in line])
            spread = np.abs(bounds.T - means)
            shares = [r['lambda'] for r in line]
            axes.errorbar(shares, means, spread, fmt='o-', capsize=3, label=f'H={horizon}, {model}')
        axes.set_title(
            f'{task}: {own[0]["measure"]}, all {own[0]["episodes"]} episodes', fontsize=9
        )
        axes.set_xlabel('lambda (1: MPQ, 0: Q alone)')
        axes.legend(fontsize=7)
    plots.save(figure, path)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'sweeps')
    flags.DEFINE_integer('num_seeds', 5, 'from 100 on')
    flags.DEFINE_integer('episodes', None, 'a seed, for a shorter table')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
