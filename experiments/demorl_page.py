"""Rows, table and figure of DeMoRL beside its special cases and what it is held against."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments import return_curves
from experiments.return_curves import last_fifth, steps_to, with_those_before
from mpq_jax import published
from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, describe_mean
from mpq_jax.figures import plots
from mpq_jax.runs.metrics import read_table
from mpq_jax.runs.run_directory import RunDirectory, manifest

_LABELS = {
    'none': 'no control', 'sac': 'SAC', 'mbpo': 'MBPO', 'mbpo_equal': 'MBPO, as many model steps',
    'mopac': 'MoPAC', 'demorl': 'DeMoRL', 'mpq_learned': 'MPQ, learned model',
    'mpq_biased': 'MPQ, biased model',
}  # fmt: skip
_DEFINITIONS = {
    'returns': "the environment's own, of training episodes, which explore",
    'steps': 'of the environment, a seed, at the end of each episode',
    'last fifth': 'mean over the episodes that ended in the last fifth of the steps, one a seed',
    'steps to': 'until the mean over the last tenth of all steps is as high',
    'seconds': 'without compiling, of a seed on about one core beside other work: no benchmark',
    'interval': INTERVAL,
    'DeMoRL more': 'last fifth of DeMoRL less that of the row, paired by seed',
}


def write(path: Path, entries: Mapping[str, Any], agents: tuple[str, ...]) -> str:
    """Writes what has run, and rows that a demorl.json of before has; returns the table."""
    file = path / 'demorl.json'
    rows = [
        row
        for name, entry in entries.items()
        for agent in agents
        for row in _runs(path / name / agent, name, agent, entry)
    ]
    rows = with_those_before(file, rows, _key)
    order = list(entries), agents
    rows.sort(key=lambda r: (order[0].index(r['entry']), order[1].index(r['agent']), r['seed']))
    content = {'definitions': _DEFINITIONS, 'made_by': manifest(), 'rows': rows}
    write_atomically(file, json.dumps(content, indent=1) + '\n')
    text = _table(rows, entries)
    write_atomically(path / 'demorl.md', text)
    if rows:
        _draw(rows, entries, path / 'demorl.png')
    return text


def _key(row: Mapping[str, Any]) -> tuple:
    return row['entry'], row['agent'], row['seed']


def _runs(path: Path, name: str, agent: str, entry: Any) -> list[dict[str, Any]]:
    """Of each seed that has taken all its steps."""
    rows = []
    for file in sorted(path.glob('*/metrics.csv')):
        if not RunDirectory(file.parent).finished_episodes:
            continue
        table = {c: read_table(file, c)[0] for c in ('env_steps', 'own_return', 'model_steps')}
        steps = table['env_steps']
        if steps[-1] < entry.steps:
            continue
        seconds = [read_table(file, c)[0] for c in ('collect_seconds', 'learn_seconds')]
        made_by = json.loads((file.parent / 'manifest.json').read_text())
        rows.append(
            {
                'entry': name,
                'environment': entry.environment,
                'agent': agent,
                'seed': int(file.parent.name),
                'git_revision': made_by.get('git_revision'),
                'date': made_by.get('date'),
                'command': f'python -m experiments.demorl --entries={name} --agents={agent}',
                'returns': np.round(table['own_return'], 1).tolist(),
                'steps': steps.astype(int).tolist(),
                'model_steps': int(table['model_steps'][-1]),
                'gradient_steps': _gradient_steps(file),
                'seconds': round(float(np.nansum(seconds)), 1),
            }
        )
    return rows


def _gradient_steps(file: Path) -> int:
    """Of a policy; 0 where none is learned."""
    return int(np.nansum(read_table(file, 'updates')[0]))


def _groups(rows: list[dict[str, Any]], name: str) -> dict[str, list[dict[str, Any]]]:
    """Rows of an environment by agent."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row['entry'] == name:
            found.setdefault(row['agent'], []).append(row)
    return found


def _figure(row: Mapping[str, Any], entry: Any) -> float:
    return (
        float(np.mean(row['returns'])) if row['agent'] == 'none' else last_fifth(row, entry.steps)
    )


def _table(rows: list[dict[str, Any]], entries: Mapping[str, Any]) -> str:
    head = (
        'environment', 'agent', 'seeds', 'last fifth', 'each seed', 'steps to', 'DeMoRL more',
        'gradient steps', 'model steps', 'minutes a seed',
    )  # fmt: skip
    lines = ['| ' + ' | '.join(head) + ' |', '|---' * len(head) + '|']
    for name, entry in entries.items():
        groups = _groups(rows, name)
        for agent, group in groups.items():
            cells = _cells(agent, group, groups.get('demorl', []), entry)
            lines.append('| ' + ' | '.join((entry.environment, *cells)) + ' |')
    return '\n'.join(lines) + '\n' if len(lines) > 2 else ''


def _cells(
    agent: str, group: list[dict[str, Any]], demorl: list[dict[str, Any]], entry: Any
) -> tuple[str, ...]:
    values = np.array([_figure(row, entry) for row in group])
    figures = {row['seed']: x for row, x in zip(group, values, strict=True)}
    theirs = {row['seed']: _figure(row, entry) for row in demorl} if agent != 'demorl' else {}
    more = np.array([theirs[seed] - x for seed, x in figures.items() if seed in theirs])
    mean = describe_mean(values) if len(values) > 1 else f'{values[0]:.0f}'
    return (
        _LABELS[agent],
        f'{group[0]["seed"]} to {group[-1]["seed"]}',
        mean,
        ', '.join(f'{x:.0f}' for x in values),
        '; '.join(_reached(group, threshold, entry) for threshold in entry.thresholds),
        describe_mean(more) if len(more) > 1 else '',
        f'{np.mean([row["gradient_steps"] for row in group]):,.0f}',
        f'{np.mean([row["model_steps"] for row in group]):,.0f}',
        f'{np.mean([row["seconds"] for row in group]) / 60:.1f}',
    )


def _reached(group: list[dict[str, Any]], threshold: float, entry: Any) -> str:
    """'500: 3400 (4 of 5)': the median over the seeds that came so far."""
    found = np.array([steps_to(row, threshold, 0.1 * entry.steps) for row in group])
    count = np.isfinite(found).sum()
    at = f'{np.nanmedian(found):.0f}' if count else 'never'
    return f'{threshold}: {at} ({count} of {len(group)})'


def _draw(rows: list[dict[str, Any]], entries: Mapping[str, Any], path: Path) -> None:
    names = [name for name in entries if _groups(rows, name)]
    figure = plots.new_figure(5.0 * len(names), 4.2)
    colors = {agent: f'C{i}' for i, agent in enumerate(_LABELS)}
    for place, name in enumerate(names):
        axes, entry = figure.add_subplot(1, len(names), place + 1), entries[name]
        for agent, group in _groups(rows, name).items():
            return_curves.draw(axes, _LABELS[agent], group, entry.steps, colors[agent])
        for method, points in published.demorl_curves(entry.published).items():
            near = np.array([point for point in points if point[0] <= entry.steps])
            if len(near):
                label = f'{_LABELS[method]}, published'
                axes.plot(*near.T, marker='x', ls=':', lw=1, label=label, color=colors[method])
        axes.set_title(f'{entry.environment}: own return of training episodes', fontsize=9)
        axes.set_xlabel('environment steps')
        axes.legend(fontsize=7)
    plots.save(figure, path)
