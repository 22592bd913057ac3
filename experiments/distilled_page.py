"""Rows, table and figure of distilled policies."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, describe
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.figures import plots
from mpq_jax.runs.metrics import read_table
from mpq_jax.runs.run_directory import RunDirectory

_MADE_BY = 'date', 'command', 'git_revision', 'versions', 'device'
_PARTS = {'no_control': 'no control', 'planner': 'planner', 'policy': 'policy'}


def write(path: Path, tasks: Sequence[str]) -> str:
    """Writes what has run; returns the table."""
    rows = [row for task in tasks if (row := _row(path / task)) is not None]
    content = {'interval': INTERVAL, 'rows': rows}
    write_atomically(path / 'distilled.json', json.dumps(content, indent=1) + '\n')
    text = _table(rows)
    write_atomically(path / 'distilled.md', text)
    if rows:
        _draw(rows, path / 'distilled.png')
    return text


def _row(path: Path) -> dict[str, Any] | None:
    """What `mpq distil` found, how both runs were made, and each of the policy's episodes."""
    file = path / 'distilled' / 'distilled.json'
    if not file.exists():
        return None
    run, distilled = RunDirectory(path), RunDirectory(path / 'distilled')
    found = json.loads(file.read_text())
    curves = {
        name: np.round(np.nanmean(read_table(distilled.metrics_file, name), axis=0), 4).tolist()
        for name in ('return', 'policy_loss')
    }
    made_by = {
        name: {k: v for k, v in there.read_manifest().items() if k in _MADE_BY}
        for name, there in (('planner', run), ('policy', distilled))
    }
    for one in made_by.values():  # no paths of the machine
        one['command'] = ' '.join(
            word for word in one.get('command', '').split() if '/' not in word
        )
    del found['files']
    return found | {'episodes_means': curves, 'made_by': made_by}


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        '| task | who | return | success at any step, at the end, share of time | an action |',
        '|---|---|---|---|---|',
    ]
    for row in rows:
        tests = f'{len(row["seeds"])} seeds x {row["test_episodes_per_seed"]} test starts'
        names = {'planner': row['planner_is'], 'policy': 'policy'}
        for part, name in _PARTS.items():
            if part in row:
                cells = _cells(row[part]), _action(row, part)
                what = f'{row["task"]}, {tests} | {names.get(part, name)}'
                lines.append(f'| {what} | {" | ".join((*cells[0], cells[1]))} |')
        apart = _cells(row['policy_minus_planner'])
        lines.append(f'| {row["task"]} | policy minus planner | {" | ".join(apart)} | |')
    return '\n'.join(lines) + '\n'


def _cells(figures: dict[str, Any]) -> tuple[str, str]:
    """The return, and the successes where there are any."""
    shown = [_text(figures[name], 2) for name in SUCCESSES if name in figures]
    return _text(figures['return'], 1), ', '.join(shown)


def _text(figure: dict[str, Any], digits: int) -> str:
    each = list(figure['per_seed'].values())
    return describe(figure['mean'], figure['low'], figure['high'], each, digits)


def _action(row: dict[str, Any], part: str) -> str:
    if part == 'no_control':
        return ''
    return text_of_seconds(row['seconds_of_an_action'][part]['compiled'])


def text_of_seconds(seconds: float) -> str:
    return f'{1e3 * seconds:.2g} ms' if seconds >= 1e-3 else f'{1e6 * seconds:.2g} us'


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Every seed's no control, planner and policy, and what an action takes."""
    figure = plots.new_figure(2.8 * len(rows) + 0.6, 3.4)
    for axes, row in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows, strict=True):
        measure = 'success' if 'success' in row['planner'] else 'return'
        parts = [part for part in _PARTS if part in row]
        for seed in map(str, row['seeds']):
            values = [row[part][measure]['per_seed'][seed] for part in parts]
            axes.plot(values, 'o-', lw=0.7, ms=4, alpha=0.7)
        ticks = [f'{_PARTS[part]}\n{_action(row, part)}' for part in parts]
        axes.set_xticks(range(len(parts)), ticks, fontsize=8)
        axes.set_xlim(-0.4, len(parts) - 0.6)
        kind = 'success at any step' if measure == 'success' else 'return'
        axes.set_title(f'{row["task"]}: {kind}', fontsize=9)
        axes.grid(alpha=0.3)
        if measure == 'success':
            axes.set_ylim(-0.03, 1.03)
    seeds = 'seeds, each a line, on the same test starts'
    figure.suptitle(f'policies distilled from planners; {seeds}', fontsize=10)
    plots.save(figure, path)
