"""Rows, tables and figures of learned dynamics."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, confidence_interval, describe_mean
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import manifest
from mpq_jax.sweep import SweepDirectory
from mpq_jax.sweep.results import Outcome, read_outcomes

_SIXTH, _FIFTEENTH = 6, 15  # trials after which PETS's cartpole is judged
# Best so far after 6 and 15 trials, one seed each: read off figures of the PETS authors' code and
# of its PyTorch port.
PUBLISHED = {
    'PETS, published (one seed)': (168, 180.4),
    'its PyTorch port (one seed)': (170, 181.5),
}


def write(path: Path, entries: Sequence[str]) -> str:
    """Writes what has run; returns the tables."""
    file = path / 'learned_dynamics.json'
    before = json.loads(file.read_text())['rows'] if file.exists() else []
    rows = [row for name in entries for row in _rows(path, name)]
    ran = {row['entry'] for row in rows}
    rows += [row for row in before if row['entry'] not in ran]
    rows.sort(key=lambda row: list(entries).index(row['entry']))
    content = {'interval': INTERVAL, 'made_by': manifest(), 'rows': rows}
    write_atomically(file, json.dumps(content, indent=1) + '\n')
    cartpole = [row for row in rows if row['entry'].startswith('cartpole')]
    text = ''
    if cartpole:
        text += _cartpole_table(cartpole)
        _draw_cartpole(cartpole, path / 'cartpole.png')
    for task, shown in _SHOWN.items():
        if of_task := [row for row in rows if row['entry'].startswith(task)]:
            text += '\n' * bool(text) + _models_table(task, shown, of_task)
    write_atomically(path / 'learned_dynamics.md', text)
    return text


def _rows(path: Path, name: str) -> list[dict[str, Any]]:
    directory = SweepDirectory(path / name)
    if not directory.sweep_file.exists():
        return []
    made_by = {}
    if directory.manifest_file.exists():
        whole = json.loads(directory.manifest_file.read_text())
        made_by = {key: whole.get(key) for key in ('date', 'command', 'git_revision')}
    return [_row(name, outcome, made_by) for outcome in read_outcomes(directory)]


def _row(name: str, outcome: Outcome, made_by: dict[str, Any]) -> dict[str, Any]:
    def rounded(column: str, digits: int = 2) -> list:
        return np.round(outcome.tables[column].astype(float), digits).tolist()

    measured = not np.isnan(outcome.tables['success_share']).all()
    learned = not np.isnan(outcome.tables['model_loss']).all()
    return {
        'entry': name,
        'made_by': made_by,
        'model': str(outcome.fields.get('planner_model', _MODEL_OF.get(name, 'learned'))),
        'seeds': outcome.seeds,
        'return': rounded('return'),
        **({'success_share': rounded('success_share')} if measured else {}),
        'wall_minutes': round(outcome.wall_seconds / 60, 2),
        'model_steps': int(outcome.tables['model_steps'][:, -1].mean()),
        **({c: _column(outcome, c) for c in ('model_error', 'model_coverage')} if learned else {}),
    }


def _column(outcome: Outcome, name: str) -> list:
    """Means over seeds of each episode; None where nothing is known."""
    table = outcome.tables[name].astype(float)
    known = ~np.isnan(table).all(axis=0)
    return [
        round(float(np.nanmean(c)), 3) if k else None for k, c in zip(known, table.T, strict=True)
    ]


def best_so_far(returns: np.ndarray) -> np.ndarray:
    """The highest return of a seed's trials up to each, `[S, E]`; the random first one counts."""
    return np.maximum.accumulate(returns, axis=1)


def _cartpole_table(rows: list[dict[str, Any]]) -> str:
    lines = [
        '| cartpole | best of 6 trials | best of 15 | mean of the last 5 | minutes, all seeds |',
        '|---|---|---|---|---|',
    ]
    for row in rows:
        returns = np.array(row['return'])
        best = best_so_far(returns)
        cells = [
            describe_mean(best[:, min(at, best.shape[1]) - 1], 1) for at in (_SIXTH, _FIFTEENTH)
        ]
        cells.append(describe_mean(returns[:, -5:].mean(axis=1), 1))
        lines.append(
            f'| {_LABELS[row["entry"]]} | {" | ".join(cells)} | {row["wall_minutes"]:.1f} |'
        )
    for name, (sixth, last) in PUBLISHED.items():
        lines.append(f'| {name} | {sixth} | {last} | | |')
    return '\n'.join(lines) + '\n'


def _models_table(task: str, shown: '_Shown', rows: list[dict[str, Any]]) -> str:
    """Returns, and where the task has it the share of time in success, by the planner's model."""
    first, episodes = shown.first, np.array(rows[0]['return']).shape[1]
    later = f'episodes {first + 1} to {episodes}'
    lines = [
        f'| {task.replace("_", " ")} | model | episodes 1 to {first} | {later} | '
        + ('share of time in success, later | ' if shown.success else '')
        + 'minutes, all seeds |',
        '|---' * (5 + shown.success) + '|',
    ]
    for row in rows:
        returns = np.array(row['return'])
        parts = [returns[:, :first], returns[:, first:]]
        cells = [describe_mean(part.mean(axis=1), shown.digits) for part in parts]
        if shown.success:
            shares = np.array(row['success_share'])[:, first:]
            cells.append(describe_mean(shares.mean(axis=1), 2, episodes=shares.shape[1]))
        what = f'{_LABELS[row["entry"]]} | {row["model"]} | {" | ".join(cells)}'
        lines.append(f'| {what} | {row["wall_minutes"]:.1f} |')
    return '\n'.join(lines) + '\n'


class _Shown(NamedTuple):
    """How a task's rows are shown."""

    first: int  # episodes apart from the others
    digits: int = 0  # of returns
    success: bool = False  # whether its share of time is


_SHOWN = {
    'pendulum': _Shown(20),
    'ball_in_cup': _Shown(10, success=True),
    'reacher': _Shown(10, 1, success=True),
}
_MODEL_OF = {f'cartpole_{model}': model for model in ('true', 'biased', 'residual')} | {
    f'{task}_none': '' for task in _SHOWN
}
_LABELS = {
    'cartpole_learned': 'CEM, learned model',
    'cartpole_true': 'CEM, true model',
    'cartpole_biased': 'CEM, biased model',
    'cartpole_residual': 'CEM, biased model, corrected',
    'cartpole_shooting': 'random shooting, 2000 plans, learned model',
    'pendulum_mppi': 'MPPI H=32',
    'pendulum_mppi_white': 'MPPI H=32, white noise',
    'pendulum_mpq': 'MPQ H=8',
    'ball_in_cup': 'MPPI H=48',
    **{f'{task}_none': 'no control' for task in _SHOWN},
    'reacher': 'MPPI H=16',
}


def _draw_cartpole(rows: list[dict[str, Any]], path: Path) -> None:
    """Returns against trials, with intervals over seeds, and the best so far."""
    figure = plots.new_figure(10.0, 4.0)
    for place, title in enumerate(('return of each trial', 'best return so far')):
        axes = figure.add_subplot(1, 2, place + 1)
        for row in rows:
            values = np.array(row['return'])
            values = best_so_far(values) if place else values
            trials = np.arange(1, values.shape[1] + 1)
            means = values.mean(axis=0)
            (line,) = axes.plot(trials, means, label=_LABELS[row['entry']])
            if len(values) >= 5:
                bounds = np.array([confidence_interval(column) for column in values.T])
                axes.fill_between(trials, *bounds.T, alpha=0.15, color=line.get_color(), lw=0)
        if place:
            for (name, (sixth, last)), mark in zip(PUBLISHED.items(), 'x+', strict=True):
                at = [_SIXTH, _FIFTEENTH]
                axes.plot(at, [sixth, last], mark, color='black', label=name, markersize=7)
        axes.set_title(title, fontsize=9)
        axes.set_xlabel('trials of 200 steps')
        axes.legend(fontsize=7)
    plots.save(figure, path)
