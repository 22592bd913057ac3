"""What came out of a sweep: all rows in one table, a summary a configuration, figures."""

import csv
import dataclasses
import io
import json
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mpq_jax.metrics import COLUMNS, read_rows
from mpq_jax.run_directory import write_atomically
from mpq_jax.statistics import bootstrap_interval, interquartile_mean
from mpq_jax.sweep import figures
from mpq_jax.sweep.grid import Fields
from mpq_jax.sweep.sweep_directory import SweepDirectory
from mpq_jax.validation import RunError

DEFINITION = {
    'final': 'mean over the last quarter of the training episodes, one value a seed',
    'auc': 'mean over all training episodes, one value a seed',
    'iqm': 'interquartile mean over seeds',
    'interval': 'low and high: 95 % percentile bootstrap of the interquartile mean, seeds '
    'resampled within a configuration (its stratum); null with one seed',
    'model_steps': "physics steps of the planner's models, of one seed, acting and learning",
    'wall_seconds': "run time of the configuration's cell without compiling, shared equally "
    'among the configurations that ran in its batch',
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One configuration: its swept fields, and its episodes as tables `[S, E]`."""

    fields: Fields
    label: str
    seeds: list[int]
    tables: dict[str, np.ndarray]  # metrics column -> [S, E], NaN where empty
    rows: list[dict[str, str]]
    wall_seconds: float


def label(fields: Fields, swept: dict[str, list[Any]]) -> str:
    """'horizon=4, temperature=0.1': the last words of the names of fields with several values."""
    varying = [name for name in fields if len(swept[name]) > 1] or list(fields)
    return ', '.join(f'{name.split(".")[-1]}={fields[name]}' for name in varying)


def read_outcomes(directory: SweepDirectory) -> list[Outcome]:
    """The configurations of a sweep, in the grid's order, as far as they ran."""
    parts: dict[str, list[tuple[Fields, list[dict[str, str]], float]]] = {}
    sweep = directory.read()
    for cell in sweep['cells']:
        file = directory.path / cell['directory'] / 'metrics.csv'
        try:
            rows = read_rows(file)
        except RunError:
            continue
        share = _wall_seconds(rows) / len(cell['configurations'])
        for variant, fields in enumerate(cell['configurations']):
            own = [row for row in rows if int(row['variant'] or 0) == variant]
            if own:
                parts.setdefault(json.dumps(fields), []).append((fields, own, share))
    return [_joined(pieces, label(pieces[0][0], sweep['swept'])) for pieces in parts.values()]


def summarize(directory: SweepDirectory, console: Console | None = None) -> list[dict[str, Any]]:
    """Writes sweep.csv, summary.csv, summary.json and the figures of what has run so far.

    Args:
      directory: a sweep's.
      console: where a table is printed, if given.

    Returns:
      The configurations as in `summary.json`.
    """
    outcomes = read_outcomes(directory)
    if not outcomes:
        return []
    measure = 'return' if np.isnan(outcomes[0].tables['success']).all() else 'success'
    summaries = [_summary(i, outcome, measure) for i, outcome in enumerate(outcomes)]
    content = {'definition': DEFINITION, 'measure': measure, 'configurations': summaries}
    write_atomically(directory.rows_file, _all_rows(outcomes))
    write_atomically(directory.summary_csv, _summary_rows(summaries))
    write_atomically(directory.summary_json, json.dumps(content, indent=2) + '\n')
    swept = directory.read()['swept']
    figures.draw_all(outcomes, summaries, swept, measure, directory.path)
    if console is not None:
        console.print(_summary_table(summaries, measure))
        written = sorted(path.name for path in directory.path.iterdir() if path.is_file())
        console.print(f'{directory.path}: {", ".join(written)}, cells/', markup=False)
    return summaries


def _joined(pieces: list[tuple[Fields, list[dict[str, str]], float]], title: str) -> Outcome:
    """Seeds of one configuration that ran in different cells, cut to their common episodes."""
    fields = pieces[0][0]
    rows = [row for _, own, _ in pieces for row in own]
    seeds = sorted({int(row['seed']) for row in rows})
    counts = dict.fromkeys(seeds, 0)
    for row in rows:
        counts[int(row['seed'])] += 1
    episodes = min(counts.values())
    rows = [row for row in rows if int(row['episode']) < episodes]
    tables = {name: np.full((len(seeds), episodes), np.nan) for name in COLUMNS}
    for row in rows:
        place = seeds.index(int(row['seed'])), int(row['episode'])
        for name in COLUMNS:
            if row[name]:
                tables[name][place] = float(row[name])
    return Outcome(fields, title, seeds, tables, rows, sum(share for _, _, share in pieces))


def _wall_seconds(rows: list[dict[str, str]]) -> float:
    """Of the programs of a cell; every member's row holds those of the whole batch."""
    episodes = {row['episode']: row for row in rows}.values()
    return sum(float(row['collect_seconds']) + float(row['learn_seconds']) for row in episodes)


def _summary(index: int, outcome: Outcome, measure: str) -> dict[str, Any]:
    table = outcome.tables[measure]
    last = max(1, table.shape[1] // 4)
    return {
        'configuration': index,
        'label': outcome.label,
        'fields': outcome.fields,
        'seeds': outcome.seeds,
        'episodes': table.shape[1],
        'final': _figure(table[:, -last:].mean(axis=1)),
        'auc': _figure(table.mean(axis=1)),
        'model_steps': int(outcome.tables['model_steps'][:, -1].mean()),
        'wall_seconds': round(outcome.wall_seconds, 2),
    }


def _figure(values: np.ndarray) -> dict[str, float | None]:
    low, high = bootstrap_interval(values, interquartile_mean)
    named = {'mean': values.mean(), 'iqm': interquartile_mean(values), 'low': low, 'high': high}
    return {k: None if np.isnan(v) else round(float(v), 4) for k, v in named.items()}


def _all_rows(outcomes: list[Outcome]) -> str:
    names = list(outcomes[0].fields)
    columns = [name for name in COLUMNS if name != 'variant']
    lines = [
        [str(i), *(str(outcome.fields[name]) for name in names), *(row[name] for name in columns)]
        for i, outcome in enumerate(outcomes)
        for row in outcome.rows
    ]
    return _csv([['configuration', *names, *columns], *lines])


def _summary_rows(summaries: list[dict[str, Any]]) -> str:
    names = list(summaries[0]['fields'])
    parts = [(kind, part) for kind in ('final', 'auc') for part in ('mean', 'iqm', 'low', 'high')]
    header = ['configuration', *names, 'num_seeds', 'episodes']
    header += [f'{kind}_{part}' for kind, part in parts] + ['model_steps', 'wall_seconds']
    lines = [
        [
            s['configuration'], *(s['fields'][name] for name in names), len(s['seeds']),
            s['episodes'], *(s[kind][part] for kind, part in parts), s['model_steps'],
            s['wall_seconds'],
        ]
        for s in summaries
    ]  # fmt: skip
    return _csv([header, *lines])


def _csv(lines: list[list[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator='\n').writerows(lines)
    return stream.getvalue()


def _summary_table(summaries: list[dict[str, Any]], measure: str) -> Table:
    digits = 0 if measure == 'return' else 2
    table = Table(title=f'{measure}: interquartile mean over seeds [95 % interval]')
    for heading in ('configuration', 'seeds', 'all episodes', 'last quarter', 'model steps', 's'):
        table.add_column(heading, justify='left' if heading == 'configuration' else 'right')
    for s in summaries:
        table.add_row(
            s['label'],
            str(len(s['seeds'])),
            _interval(s['auc'], digits),
            _interval(s['final'], digits),
            f'{s["model_steps"]:,}',
            f'{s["wall_seconds"]:.1f}',
        )
    return table


def _interval(figure: dict[str, float | None], digits: int) -> str:
    text = f'{figure["iqm"]:.{digits}f}'
    if figure['low'] is None:
        return text
    return f'{text} [{figure["low"]:.{digits}f}, {figure["high"]:.{digits}f}]'
