"""What came out of a sweep: all rows in one table, a summary a configuration, figures."""

import csv
import dataclasses
import io
import itertools
import json
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, confidence_interval, describe, interquartile_mean
from mpq_jax.base.validation import RunError
from mpq_jax.config.labels import field_label
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.runs.metrics import cell_text, iterate_rows
from mpq_jax.runs.tables import MemberTables, last_quarter, tabulate
from mpq_jax.sweep import figures
from mpq_jax.sweep.grid import Fields
from mpq_jax.sweep.sweep_directory import SweepDirectory

DEFINITION = {
    'final': 'mean over the last quarter of the training episodes, one value a seed',
    'auc': 'mean over all training episodes, one value a seed',
    'success': 'at any step; success_at_end: at the last one; success_share: share of the steps',
    'iqm': 'interquartile mean over seeds',
    'interval': f'low and high: {INTERVAL}',
    'per_seed': 'the figure of each seed, in the order of seeds',
    'model_steps': "physics steps of the planner's models a seed, acting and learning",
    'wall_seconds': "run time of the configuration's cell without compiling, shared equally "
    'among the configurations that ran in its batch',
}

# Heading of the printed table -> figure of the summary; those of success only where there is one.
_SHOWN = {
    'all episodes': 'auc',
    'last quarter': 'final',
    'at the end, all episodes': 'auc_success_at_end',
    'share of time, all episodes': 'auc_success_share',
}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """One configuration: its swept fields, and its episodes as tables `[S, E]`."""

    fields: Fields
    label: str
    seeds: list[int]
    tables: dict[str, np.ndarray]  # metrics column -> [S, E], NaN where empty
    wall_seconds: float

    @property
    def measures(self) -> tuple[str, ...]:
        """The figures of success, where the task has one, or the return."""
        judged = not np.isnan(self.tables['success']).all()
        return SUCCESSES if judged else ('return',)


def label(fields: Fields, swept: dict[str, list[Any]]) -> str:
    """'horizon=4, temperature=0.1': of the fields with several values."""
    varying = [name for name in fields if len(swept[name]) > 1] or list(fields)
    return field_label({name: fields[name] for name in varying})


def read_outcomes(directory: SweepDirectory) -> list[Outcome]:
    """The configurations of a sweep, in the grid's order, as far as they ran."""
    pieces: dict[str, list[tuple[MemberTables, float]]] = {}
    sweep = directory.read()
    for cell in sweep['cells']:
        file = directory.path / cell['directory'] / 'metrics.csv'
        try:
            tables = tabulate(iterate_rows(file))
        except RunError:
            continue
        if not tables.members:  # it has just begun
            continue
        share = _wall_seconds(tables) / len(cell['configurations'])
        own = tables.by_first()
        for variant, fields in enumerate(cell['configurations']):
            if variant in own:
                pieces.setdefault(json.dumps(fields), []).append((own[variant], share))
    return [_joined(json.loads(key), own, sweep['swept']) for key, own in pieces.items()]


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
    measures = outcomes[0].measures
    measure = measures[0]
    summaries = [_summary(i, outcome, measures) for i, outcome in enumerate(outcomes)]
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


def _joined(
    fields: Fields, pieces: list[tuple[MemberTables, float]], swept: dict[str, list[Any]]
) -> Outcome:
    """Seeds of one configuration that ran in different cells, cut to their common episodes."""
    seeds = [seed for tables, _ in pieces for seed in tables.seeds]
    episodes = min(int(tables.counts.min()) for tables, _ in pieces)
    order = np.argsort(seeds)
    joined = {
        name: np.concatenate([tables.columns[name][:, :episodes] for tables, _ in pieces])[order]
        for name in pieces[0][0].columns
    }
    seconds = sum(share for _, share in pieces)
    return Outcome(fields, label(fields, swept), sorted(seeds), joined, seconds)


def _wall_seconds(tables: MemberTables) -> float:
    """Of the programs of a cell; every member's row holds those of the whole batch."""
    spent = tables.columns['collect_seconds'] + tables.columns['learn_seconds']
    return float(np.nan_to_num(spent).max(axis=0).sum()) if spent.size else 0.0


def _summary(index: int, outcome: Outcome, measures: tuple[str, ...]) -> dict[str, Any]:
    """`final` and `auc` are of the first measure; the others stand beside them."""
    measure, *others = measures
    final = {name: last_quarter(outcome.tables[name]) for name in measures}
    return {
        'configuration': index,
        'label': outcome.label,
        'fields': outcome.fields,
        'seeds': outcome.seeds,
        'episodes': outcome.tables[measure].shape[1],
        'final': _figure(final[measure], measure),
        'auc': _figure(outcome.tables[measure], measure),
        **{f'final_{name}': _figure(final[name], name) for name in others},
        **{f'auc_{name}': _figure(outcome.tables[name], name) for name in others},
        'model_steps': int(outcome.tables['model_steps'][:, -1].mean()),
        'wall_seconds': round(outcome.wall_seconds, 2),
    }


def _figure(table: np.ndarray, name: str) -> dict[str, Any]:
    """Of the means over episodes of `[S, E]`."""
    values = table.mean(axis=1)
    low, high = confidence_interval(values, table.shape[1] if name in SUCCESSES else None)
    named = {'mean': values.mean(), 'iqm': interquartile_mean(values), 'low': low, 'high': high}
    rounded = {k: None if np.isnan(v) else round(float(v), 4) for k, v in named.items()}
    return rounded | {'per_seed': [round(float(v), 4) for v in values]}


def _all_rows(outcomes: list[Outcome]) -> str:
    names = list(outcomes[0].fields)
    columns = list(outcomes[0].tables)
    lines = [['configuration', *names, 'seed', 'episode', *columns]]
    for i, outcome in enumerate(outcomes):
        fields = [str(outcome.fields[name]) for name in names]
        episodes = next(iter(outcome.tables.values())).shape[1]
        for episode, (s, seed) in itertools.product(range(episodes), enumerate(outcome.seeds)):
            cells = (outcome.tables[name][s, episode] for name in columns)
            lines.append([str(i), *fields, str(seed), str(episode), *map(_cell, cells)])
    return _csv(lines)


def _cell(value: float) -> str:
    if np.isnan(value):
        return ''
    return cell_text(int(value) if float(value).is_integer() else value)


def _summary_rows(summaries: list[dict[str, Any]]) -> str:
    """A line a configuration: a figure's parts in columns of their own."""
    parts = ('mean', 'iqm', 'low', 'high')
    figures = [name for name, value in summaries[0].items() if name.startswith(('final', 'auc'))]
    lines = [
        {'configuration': s['configuration'], **s['fields']}
        | {'num_seeds': len(s['seeds']), 'episodes': s['episodes']}
        | {f'{name}_{part}': s[name][part] for name in figures for part in parts}
        | {name: s[name] for name in ('model_steps', 'wall_seconds')}
        for s in summaries
    ]
    return _csv([list(lines[0]), *(list(line.values()) for line in lines)])


def _csv(lines: list[list[Any]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator='\n').writerows(lines)
    return stream.getvalue()


def _summary_table(summaries: list[dict[str, Any]], measure: str) -> Table:
    digits = 0 if measure == 'return' else 2
    counts = [len(s['seeds']) for s in summaries]
    number = f', {counts[0]} seeds' if len(set(counts)) == 1 else ''
    shown = {heading: name for heading, name in _SHOWN.items() if name in summaries[0]}
    table = Table(title=f'{measure}: mean [95 % interval], or mean (each seed)')
    table.add_column('configuration')
    headings = [] if number else ['seeds']
    headings += [*(heading + number for heading in shown), 'model steps a seed', 's']
    for heading in headings:
        table.add_column(heading, justify='right')
    for s, count in zip(summaries, counts, strict=True):
        cells = [] if number else [str(count)]
        cells += [_described(s[name], digits) for name in shown.values()]
        table.add_row(s['label'], *cells, f'{s["model_steps"]:,}', f'{s["wall_seconds"]:.1f}')
    return table


def _described(figure: dict[str, Any], digits: int) -> str:
    mean, low, high = (figure[name] for name in ('mean', 'low', 'high'))
    return describe(mean, low, high, figure['per_seed'], digits)
