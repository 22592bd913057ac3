"""Rows of our tables beside the paper's: figures over seeds, as JSON, CSV and on the terminal."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, against, confidence_interval
from mpq_jax.config.labels import agent_name, is_no_control
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.runs.tables import last_quarter
from mpq_jax.sweep.grid import Fields
from mpq_jax.sweep.results import Outcome
from mpq_jax.sweep.sweep_directory import SweepDirectory

# What the columns of figures are; beside each its interval and the seeds' own values.
_COLUMNS = {
    'return': 'mean over all episodes',
    'success': 'episodes with success at any step',
    'success_at_end': 'episodes with success at the last step',
    'success_share': 'share of the steps in success, mean over all episodes',
    'last_quarter': 'mean return or success of an episode in the last quarter',
    'paper': "as the return or the success; the paper's one run",
    'against_no_control': 'return or success, paired by seed',
    'low, high': INTERVAL,
    'by_seed': 'in the order of the seeds',
}


def training_figures(outcome: Outcome, measure: str, episodes: int) -> dict[str, Any]:
    """Of the first so many episodes: the return, or successes as counts and as share of time."""
    tables = {name: outcome.tables[name][:, :episodes] for name in outcome.tables}
    late = last_quarter(tables[measure])
    if measure == 'return':
        return figure_over_seeds('return', tables['return'].mean(axis=1)) | figure_over_seeds(
            'last_quarter', late.mean(axis=1)
        )
    means = {name: tables[name].mean(axis=1) for name in SUCCESSES}
    return (
        figure_over_seeds('success', means['success'], episodes, as_count=True)
        | figure_over_seeds('success_at_end', means['success_at_end'], episodes, as_count=True)
        | figure_over_seeds('success_share', means['success_share'], episodes)
        | figure_over_seeds('last_quarter', late.mean(axis=1), late.shape[1])
    )


def figure_over_seeds(
    name: str, values: np.ndarray, episodes: int | None = None, as_count: bool = False
) -> dict[str, Any]:
    """A mean over seeds, its interval, and the seeds; rates have episodes, or become counts."""
    low, high = confidence_interval(values, episodes)
    scale = episodes if as_count and episodes else 1
    named = {name: values.mean(), f'{name}_low': low, f'{name}_high': high}
    rounded = {k: None if np.isnan(v) else round(float(v) * scale, 4) for k, v in named.items()}
    return rounded | {f'{name}_by_seed': [round(float(v) * scale, 4) for v in values]}


def compare_training(rows: list[dict[str, Any]], outcomes: list[Outcome], measure: str) -> None:
    """Adds whether each is better than no control, where that ran."""
    episodes = min(row['episodes'] for row in rows)
    means = [outcome.tables[measure][:, :episodes].mean(axis=1) for outcome in outcomes]
    by_seed = [
        dict(zip(o.seeds, m.tolist(), strict=True)) for o, m in zip(outcomes, means, strict=True)
    ]
    compare_with_no_control(rows, [outcome.fields for outcome in outcomes], by_seed)


def compare_with_no_control(
    rows: list[dict[str, Any]], points: Sequence[Fields], by_seed: Sequence[dict[int, float]]
) -> None:
    references = [own for own, p in zip(by_seed, points, strict=True) if is_no_control(p)]
    if references:
        for row, point, own in zip(rows, points, by_seed, strict=True):
            verdict = '' if is_no_control(point) else against(own, references[0])
            row['against_no_control'] = verdict


def write(
    directory: SweepDirectory,
    name: str,
    rows: list[dict[str, Any]],
    columns: Mapping[str, str] | None = None,
) -> None:
    """The rows as JSON and CSV."""
    present = {
        k: text for k, text in _COLUMNS.items() if k in rows[0] or k in ('low, high', 'by_seed')
    }
    content = {'columns': present | dict(columns or {}), 'rows': rows}
    write_atomically(directory.path / f'{name}.json', json.dumps(content, indent=1) + '\n')
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    for row in rows:
        lists = {k: ' '.join(map(str, v)) for k, v in row.items() if isinstance(v, list)}
        writer.writerow(row | lists)
    write_atomically(directory.path / f'{name}.csv', stream.getvalue())


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """A table: each figure with its interval, or its few seeds, in one column."""
    same = len({row['seeds'] for row in rows}) == 1
    shown = [k for k in rows[0] if not k.endswith(('_low', '_high', '_by_seed'))]
    shown = [name for name in shown if not (same and name == 'seeds')]
    table = Table(title=title)
    for name in shown:
        number = f', {rows[0]["seeds"]} seeds' if same and f'{name}_by_seed' in rows[0] else ''
        table.add_column(name.replace('_', ' ') + number)
    for row in rows:
        table.add_row(*(_text(row, name) for name in shown))
    console.print(table)


def _text(row: dict[str, Any], name: str) -> str:
    value, low, high = row[name], row.get(f'{name}_low'), row.get(f'{name}_high')
    seeds = row.get(f'{name}_by_seed', ())
    if not isinstance(value, float):
        return '' if value is None else agent_name(str(value)) if name == 'agent' else str(value)
    if low is not None and high is not None:
        return f'{_number(value)} [{_number(low)}, {_number(high)}]'
    return _number(value) + (f' ({", ".join(map(_number, seeds))})' if len(seeds) > 1 else '')


def _number(value: float) -> str:
    """148, 9.5, 0.26: two decimals below a hundred, without zeros at their end."""
    if abs(value) >= 100:
        return f'{value:.0f}'
    return f'{value:.2f}'.rstrip('0').rstrip('.')
