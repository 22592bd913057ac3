"""Tables that runs and sweeps share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax.base.statistics import INTERVAL_IN_WORDS, confidence_interval
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.config import Config, overrides
from mpq_jax.config.labels import NO_CONTROL, field_label
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.report import files
from mpq_jax.report.content import Cell, Curve, Interval, Table
from mpq_jax.runs.tables import last_quarter
from mpq_jax.suite import presets

# What is measured -> how a heading says it.
_WORDS = {
    'return': 'return',
    'success': 'success',
    'success_at_end': 'success at the end',
    'success_share': 'success, share of time',
}
# And in evaluations of tasks that have them.
_TESTED = {
    'not_by_itself': 'success where no control fails',
    'control_steps': 'control steps an episode',
}
_BRACKETS = f'In brackets: {INTERVAL_IN_WORDS}; in parentheses: few seeds, each.'


def settings(config: Mapping[str, Any], swept: Mapping[str, Sequence[Any]]) -> Table:
    """Every field with its default; marked are swept fields and those that differ."""
    flat, defaults = files.flatten(config), _defaults(config)
    table = Table('All fields', ['field', 'value', 'default'], [])
    for name in [*flat, *(name for name in swept if name not in flat)]:
        value = ', '.join(map(files.text_of, swept.get(name, [flat.get(name)])))
        default = files.text_of(defaults[name]) if name in defaults else ''
        if name in swept or (value != default and name in defaults):
            table.marked.add(len(table.rows))
        table.rows.append([name, value, default])
    name = f'{config.get("task", "")}, {config.get("agent", "")}'
    table.note = f'Defaults are those of the preset for {name}. Highlighted: swept, or not default.'
    return table


def versions(manifest: Mapping[str, Any]) -> list[Table]:
    """Packages, and everything else that the manifest says."""
    packages = manifest.get('versions')
    packages = packages if isinstance(packages, dict) else {}
    rest = files.flatten({k: v for k, v in manifest.items() if k != 'versions'})
    tables = [
        Table(
            'Made by', ['entry', 'value'], [[_words(k), files.text_of(v)] for k, v in rest.items()]
        ),
        Table(
            'Versions',
            ['package', 'version'],
            [[k, 'not installed' if v is None else files.text_of(v)] for k, v in packages.items()],
        ),
    ]
    return [table for table in tables if table.rows]


def configurations(curves: Sequence[Curve]) -> Table:
    """One row a configuration, from the metrics alone."""
    measures = _measured(curves)
    number, column = seeds_heading([len(curve.seeds) for curve in curves])
    table = Table('Configurations', ['configuration', *column, 'episodes'], [])
    table.columns += [f'{heading}{number}' for heading in _headings(measures)]
    table.columns += ['model steps a seed', 'seconds']
    for curve in curves:
        row: list[Cell] = [curve.label, *([len(curve.seeds)] if column else []), episodes(curve)]
        for name in measures:
            row += [_over_seeds(part, name) for part in _all_and_late(curve, name)]
        steps = _last(curve, 'model_steps')
        row += [None if np.isnan(steps).all() else int(np.nanmean(steps)), _seconds(curve)]
        table.rows.append(row)
    table.note = f'Means over seeds of the mean over all episodes, or the last quarter. {_BRACKETS}'
    return table


def seeds_heading(counts: Sequence[int]) -> tuple[str, list[str]]:
    """What headings say of the number of seeds, or the column that does where rows differ."""
    return (f', {counts[0]} seeds', []) if len(set(counts)) == 1 else ('', ['seeds'])


def seeds(curves: Sequence[Curve]) -> Table:
    """One row a configuration and seed."""
    measures = _measured(curves)
    table = Table('Every seed', ['configuration', 'seed', 'episodes', *_headings(measures)], [])
    table.columns += ['best return', 'model steps']
    for curve in curves:
        parts = [part for name in measures for part in _all_and_late(curve, name)]
        figures = [_over_episodes(np.mean, part) for part in parts]
        best, steps = _over_episodes(np.max, _column(curve, 'return')), _last(curve, 'model_steps')
        for i, seed in enumerate(curve.seeds):
            row: list[Cell] = [curve.label, seed, episodes(curve, i)]
            row += [_plain(values[i]) for values in [*figures, best]]
            table.rows.append([*row, None if np.isnan(steps[i]) else int(steps[i])])
    return table


def evaluations(runs: Mapping[str, Path], problems: list[str]) -> Table:
    """Test episodes of every run that was evaluated: all seeds together, then each."""
    results = {p: files.read_optional(p / 'evaluation.json', problems) for p in runs.values()}
    held = {key for r in results.values() for _, figures in _evaluated(r) for key in figures}
    words = _WORDS | {key: word for key, word in _TESTED.items() if key in held}
    columns = ['configuration', 'parameters', 'seed', 'trained for', 'test episodes']
    table = Table('Evaluation', [*columns, *words.values()], [])
    for label, path in runs.items():
        result = results[path]
        shared = [result.get(k) for k in ('trained_episodes', 'test_episodes_per_seed')]
        before = len(table.rows)
        for variant, figures in _evaluated(result):
            means = [_by_seed(figures.get(name)) for name in words]
            for seed in dict.fromkeys(seed for each in means for seed in each):
                row = [', '.join(filter(None, (label, variant))), result.get('parameters'), seed]
                table.rows.append([*row, *shared, *(each.get(seed) for each in means)])
        if result and len(table.rows) == before:
            problems.append(f'{path / "evaluation.json"} has no figures')
    table.note = f'Starts that training never saw. {_BRACKETS}'
    return table


def _evaluated(result: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """(fields in words, figures) of each variant, or of the run itself; then of no control."""
    variants, idle = result.get('variants'), result.get('no_control')
    rows = [('', result)]
    if isinstance(variants, list):
        kept = [each for each in variants if isinstance(each, dict)]
        rows = [(_in_words(each.get('fields')), each) for each in kept]
    return rows + ([(NO_CONTROL, idle)] if isinstance(idle, dict) else [])


def _in_words(fields: Any) -> str:
    return field_label(fields) if isinstance(fields, dict) else ''


def _by_seed(figure: Any) -> dict[str, Interval]:
    """'all 4' seeds, and every one of them, with their means."""
    if not isinstance(figure, dict):
        return {}
    per_seed = figure.get('per_seed')
    own = per_seed if isinstance(per_seed, dict) else {}
    return {f'all {len(own)}': interval(figure)} | {f'{k}': interval(v) for k, v in own.items()}


def interval(figure: Any, mean: str = 'mean') -> Interval:
    """{'mean', 'low', 'high', 'per_seed'}; what is missing or no number is None."""
    figure = figure if isinstance(figure, dict) else {}
    per_seed = figure.get('per_seed')
    if isinstance(per_seed, dict):
        per_seed = [each.get('mean') for each in per_seed.values() if isinstance(each, dict)]
    values = [files.number(v) for v in (per_seed if isinstance(per_seed, list) else ())]
    middle, low, high = (_plain(files.number(figure.get(name))) for name in (mean, 'low', 'high'))
    return Interval(middle, low, high, tuple(value for value in values if np.isfinite(value)))


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the preset; the bare defaults for a task or an agent that this version does not know.

    Tasks of the user's own are not imported: reading a report runs no code that it names.
    """
    task, agent = str(config.get('task', '')), str(config.get('agent', ''))
    try:
        preset = presets.preset(task, agent) if ':' not in task else Config(task, agent)
    except (ConfigError, TaskError):
        preset = Config(task, agent)
    return files.flatten(overrides.to_dict(preset))


def _words(name: str) -> str:
    return name.replace('_', ' ').replace('.', ': ')


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _holds(curve: Curve, name: str) -> bool:
    return name in curve.columns and bool(np.isfinite(curve.columns[name]).any())


def _measured(curves: Sequence[Curve]) -> list[str]:
    return [name for name in _WORDS if any(_holds(curve, name) for curve in curves)]


def _headings(measures: Sequence[str]) -> list[str]:
    """Two a measure, as `_all_and_late` has them."""
    parts = ('all episodes', 'last quarter')
    return [f'{_WORDS[name]}, {part}' for name in measures for part in parts]


def _over_episodes(reduce, table: np.ndarray) -> np.ndarray:
    """`[S]` of `[S, E]`, NaN for a seed without a value."""
    kept = [row[np.isfinite(row)] for row in table]
    return np.array([reduce(row) if len(row) else np.nan for row in kept])


def _column(curve: Curve, name: str) -> np.ndarray:
    return curve.columns.get(name, np.full((len(curve.seeds), 1), np.nan))


def _all_and_late(curve: Curve, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A measure in all episodes and in the last quarter, each `[S, E]`."""
    table = _column(curve, name)
    return table, last_quarter(table)


def _over_seeds(table: np.ndarray, name: str) -> Interval:
    """Of the seeds' means over episodes."""
    values, held = _over_episodes(np.mean, table), np.isfinite(table).sum(axis=1)
    kept = values[held > 0]
    if not len(kept):
        return Interval(None)
    low, high = confidence_interval(kept, held[held > 0] if name in SUCCESSES else None)
    return Interval(
        kept.mean().item(), _plain(float(low)), _plain(float(high)), tuple(kept.tolist())
    )


def _last(curve: Curve, name: str) -> np.ndarray:
    return _over_episodes(lambda kept: kept[-1], _column(curve, name))


def episodes(curve: Curve, seed: int | None = None) -> int:
    """Episodes with any value: a seed's, or the most of all seeds."""
    held = np.any([np.isfinite(table) for table in curve.columns.values()], axis=0)
    return int(held.sum(axis=1)[seed] if seed is not None else held.sum(axis=1).max())


def _seconds(curve: Curve) -> float | None:
    """Seconds of collecting and learning; a batch of seeds shares them."""
    tables = [curve.columns.get(name) for name in ('collect_seconds', 'learn_seconds')]
    total = [np.nansum(table, axis=1).max() for table in tables if table is not None]
    return float(sum(total)) if total else None
