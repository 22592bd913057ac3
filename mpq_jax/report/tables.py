"""Tables that runs and sweeps share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax import overrides, presets
from mpq_jax.config import Config
from mpq_jax.report import files
from mpq_jax.report.content import Cell, Curve, Interval, Table
from mpq_jax.statistics import bootstrap_interval
from mpq_jax.validation import ConfigError, TaskError


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
    measures = [name for name in ('return', 'success') if any(_holds(c, name) for c in curves)]
    table = Table('Configurations', ['configuration', 'seeds', 'episodes'], [])
    table.columns += [f'{name}, {part}' for name in measures for part in ('all', 'last third')]
    table.columns += ['model steps', 'seconds']
    for curve in curves:
        row: list[Cell] = [curve.label, len(curve.seeds), episodes(curve)]
        for name in measures:
            row += [_mean_over_seeds(values) for values in _all_and_late(curve, name)]
        steps = _last(curve, 'model_steps')
        row += [None if np.isnan(steps).all() else int(np.nansum(steps)), _seconds(curve)]
        table.rows.append(row)
    table.note = (
        'Means over seeds of the mean over all episodes, and over the last third of them; in '
        'brackets the 95 % bootstrap interval over seeds. Model steps of all seeds together.'
    )
    return table


def seeds(curves: Sequence[Curve]) -> Table:
    """One row a configuration and seed."""
    measures = [name for name in ('return', 'success') if any(_holds(c, name) for c in curves)]
    table = Table('Every seed', ['configuration', 'seed', 'episodes'], [])
    table.columns += [f'{name}, {part}' for name in measures for part in ('all', 'last third')]
    table.columns += ['best return', 'model steps']
    for curve in curves:
        figures = [values for name in measures for values in _all_and_late(curve, name)]
        best = _over_episodes(np.fmax.reduce, curve.columns.get('return'), len(curve.seeds))
        steps = _last(curve, 'model_steps')
        for i, seed in enumerate(curve.seeds):
            row: list[Cell] = [curve.label, seed, episodes(curve, i)]
            row += [_plain(values[i]) for values in [*figures, best]]
            table.rows.append([*row, None if np.isnan(steps[i]) else int(steps[i])])
    return table


def evaluations(runs: Mapping[str, Path], problems: list[str]) -> Table:
    """Test episodes of every run that was evaluated: all seeds together, then each."""
    columns = ['configuration', 'parameters', 'seed', 'trained for', 'test episodes', 'return']
    table = Table('Evaluation', [*columns, 'success'], [])
    for label, path in runs.items():
        result = files.read_optional(path / 'evaluation.json', problems)
        figures = [_figure(result.get(name)) for name in ('return', 'success')]
        names = list(dict.fromkeys(seed for figure in figures for seed in figure))
        for seed in names:
            row = [result.get('parameters'), seed]
            row += [result.get('trained_episodes'), result.get('test_episodes_per_seed')]
            table.rows.append([label, *row, *(figure.get(seed) for figure in figures)])
        if result and not names:
            problems.append(f'{path / "evaluation.json"} has no figures')
    table.note = 'Starts that training never saw; in brackets the 95 % interval over seeds.'
    return table


def _figure(figure: Any) -> dict[str, Interval]:
    """'all' and every seed -> mean."""
    if not isinstance(figure, dict):
        return {}
    means = {'all': interval(figure)}
    per_seed = figure.get('per_seed')
    for seed, own in per_seed.items() if isinstance(per_seed, dict) else ():
        means[f'{seed}'] = interval(own)
    return means


def interval(figure: Any, mean: str = 'mean') -> Interval:
    """{'mean', 'low', 'high'} as an interval; what is missing or no number is None."""
    figure = figure if isinstance(figure, dict) else {}
    return Interval(*(_plain(files.number(figure.get(name))) for name in (mean, 'low', 'high')))


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


def _over_episodes(reduce, values: np.ndarray | None, count: int) -> np.ndarray:
    """`[S]`, NaN for a seed without a value."""
    figures = np.full(count, np.nan)
    for i, row in enumerate(values if values is not None else ()):
        kept = row[np.isfinite(row)]
        if len(kept):
            figures[i] = reduce(kept)
    return figures


def _all_and_late(curve: Curve, name: str) -> list[np.ndarray]:
    """A measure's mean over all episodes and over the last third, each `[S]`."""
    table = curve.columns.get(name)
    if table is None:
        return [np.full(len(curve.seeds), np.nan)] * 2
    late = table[:, 2 * (table.shape[1] // 3) :]
    return [_over_episodes(np.mean, part, len(curve.seeds)) for part in (table, late)]


def _mean_over_seeds(values: np.ndarray) -> Interval:
    kept = values[np.isfinite(values)]
    if not len(kept):
        return Interval(None)
    low, high = bootstrap_interval(kept)
    return Interval(float(kept.mean()), _plain(float(low)), _plain(float(high)))


def _last(curve: Curve, name: str) -> np.ndarray:
    return _over_episodes(lambda kept: kept[-1], curve.columns.get(name), len(curve.seeds))


def episodes(curve: Curve, seed: int | None = None) -> int:
    """Episodes with any value: a seed's, or the most of all seeds."""
    held = np.any([np.isfinite(table) for table in curve.columns.values()], axis=0)
    return int(held.sum(axis=1)[seed] if seed is not None else held.sum(axis=1).max())


def _seconds(curve: Curve) -> float | None:
    """Seconds of collecting and learning; a batch of seeds shares them."""
    tables = [curve.columns.get(name) for name in ('collect_seconds', 'learn_seconds')]
    total = [np.nansum(table, axis=1).max() for table in tables if table is not None]
    return float(sum(total)) if total else None
