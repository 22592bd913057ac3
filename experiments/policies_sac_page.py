"""Rows, table and figure of SAC beside Stable-baselines3's."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import return_curves
from experiments.return_curves import last_fifth, with_those_before
from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, describe_mean
from mpq_jax.figures import plots
from mpq_jax.runs.metrics import read_table
from mpq_jax.runs.run_directory import RunDirectory, manifest

_SCHEDULES = {'episode': 'the same updates', 'step': 'an update after each step'}
_OURS = 'mpq_jax'


def write(path: Path, entries: Mapping[str, Any]) -> str:
    """Writes what has run, and rows that a sac.json of before has; returns the table."""
    file = path / 'sac.json'
    rows = [row for name, entry in entries.items() for row in _runs(path / name, name, entry)]
    rows += _reference_rows(path / 'reference.json')
    rows = with_those_before(file, rows, _key)
    rows.sort(key=lambda row: [str(part) for part in _key(row)])
    content = {'interval': INTERVAL, 'made_by': manifest(), 'rows': rows}
    write_atomically(file, json.dumps(content, indent=1) + '\n')
    steps = {entry.reference: entry.steps for entry in list(entries.values())[::-1]}
    text = _table(rows, steps)
    write_atomically(path / 'sac.md', text)
    if rows:
        _draw(rows, steps, path / 'sac.png')
    return text


def _key(row: Mapping[str, Any]) -> tuple:
    return row['task'], row['by'], row['schedule'], row['seed']


def _runs(path: Path, name: str, entry: Any) -> list[dict[str, Any]]:
    """Of each seed that has taken all its steps."""
    rows = []
    for run in sorted(path.glob('*/metrics.csv')):
        if not RunDirectory(run.parent).finished_episodes:
            continue
        steps = read_table(run, 'env_steps')[0]
        if steps[-1] < entry.steps:
            continue
        columns = [read_table(run, c)[0] for c in ('collect_seconds', 'learn_seconds')]
        made_by = json.loads((run.parent / 'manifest.json').read_text())
        rows.append(
            {
                'task': entry.reference,
                'by': _OURS if not name.endswith('none') else 'no control',
                'schedule': 'episode',
                'seed': int(run.parent.name),
                'fields': {k: v for k, v in entry.fields.items() if k != 'agent'},
                'git_revision': made_by.get('git_revision'),
                'date': made_by.get('date'),
                'command': f'python -m experiments.policies_sac --entries={name}',
                'returns': np.round(read_table(run, 'return')[0], 2).tolist(),
                'steps': steps.astype(int).tolist(),
                'seconds': round(float(np.nansum(columns)), 1),
            }
        )
    return rows


def _reference_rows(file: Path) -> list[dict[str, Any]]:
    if not file.exists():
        return []
    content = json.loads(file.read_text())
    made_by = {'by': 'Stable-baselines3', **content['made_by']}
    return [{**row, **made_by} for row in content['rows']]


def _groups(rows: list[dict[str, Any]], task: str):
    """(name, rows) of what has run on a task."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row['task'] == task:
            name = row['by']
            if name == 'Stable-baselines3':
                name = f'{name}, {_SCHEDULES[row["schedule"]]}'
            found.setdefault(name, []).append(row)
    return found.items()


def _table(rows: list[dict[str, Any]], steps: Mapping[str, int]) -> str:
    lines = ['| task | by | seeds | last fifth | each seed |', '|---|---|---|---|---|']
    for task, count in steps.items():
        for name, group in _groups(rows, task):
            idle = name == 'no control'
            values = np.array(
                [np.mean(row['returns']) if idle else last_fifth(row, count) for row in group]
            )
            each = ', '.join(f'{x:.0f}' for x in np.sort(values))
            seeds = f'{group[0]["seed"]} to {group[-1]["seed"]}'
            mean = describe_mean(values) if len(values) > 1 else f'{values[0]:.0f}'
            lines.append(f'| {task} | {name} | {seeds} | {mean} | {each} |')
    return '\n'.join(lines) + '\n' if len(lines) > 2 else ''


def _draw(rows: list[dict[str, Any]], steps: Mapping[str, int], path: Path) -> None:
    """Returns against control steps: means over seeds of the last tenth of all steps."""
    figure = plots.new_figure(10.0, 4.0)
    tasks = [task for task in steps if _groups(rows, task)]
    for place, task in enumerate(tasks):
        axes, count = figure.add_subplot(1, len(tasks), place + 1), steps[task]
        for name, group in _groups(rows, task):
            return_curves.draw(axes, name, group, count)
        axes.set_title(f'{task}: return of training episodes', fontsize=9)
        axes.set_xlabel('control steps')
        axes.legend(fontsize=7)
    plots.save(figure, path)
