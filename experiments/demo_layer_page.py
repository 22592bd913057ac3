"""Rows, table and figure of the DeMo Layer: upright at the end, and returns, over step sizes."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, describe, describe_mean
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import RunDirectory, manifest

FIGURES = ('success_at_end', 'return')
SWING_UPS = 'swing_ups.json'  # of a policy's run: each seed's share


def write(path: Path, entries: Sequence[str]) -> str:
    """Writes what has run; returns the table."""
    file = path / 'demo_layer.json'
    before = json.loads(file.read_text())['rows'] if file.exists() else []
    rows = [row for name in entries for row in _rows(path / name, name)]
    ran = {(row['task'], row['run']) for row in rows}
    rows += [row for row in before if (row['task'], row['run']) not in ran]
    rows.sort(key=lambda row: list(entries).index(row['task']))
    content = {'interval': INTERVAL, 'made_by': manifest(), 'rows': rows}
    write_atomically(file, json.dumps(content, indent=1) + '\n')
    text = ''.join(_table([row for row in rows if row['task'] == name], name) for name in entries)
    write_atomically(path / 'demo_layer.md', text)
    if rows:
        _draw(rows, path / 'demo_layer.png')
    return text


def _rows(path: Path, task: str) -> list[dict[str, Any]]:
    rows = []
    for directory in sorted(path.glob('*')):
        run = RunDirectory(directory)
        if run.evaluation_file.exists():
            rows += _rows_of(run, task)
    return rows


def _rows_of(run: RunDirectory, task: str) -> list[dict[str, Any]]:
    """One for each step size; of the true model's planner one more, without control."""
    result = json.loads(run.evaluation_file.read_text())
    episodes = result['test_episodes_per_seed']
    made_by = {key: run.read_manifest().get(key) for key in ('date', 'git_revision', 'versions')}
    made_by['command'] = f'python -m experiments.demo_layer --tasks={task}'
    shared = {'task': task, 'run': run.path.name, 'episodes': episodes, 'made_by': made_by}
    if (file := run.path / SWING_UPS).exists():
        shared['swings_up'] = json.loads(file.read_text())
    rows = [
        shared
        | {'agent': result['agent'], 'model': result['planner_model']}
        | {'step': one.get('fields', {}).get('planner.step_size')}
        | _figures(one)
        for one in result.get('variants', [result])
    ]
    if run.path.name == 'planner_true':
        rows.append(
            shared | {'agent': 'none', 'model': '', 'step': None} | _figures(result['no_control'])
        )
    return rows


def _figures(result: dict[str, Any]) -> dict[str, Any]:
    """Means, intervals and each seed's mean."""
    return {
        name: {key: result[name][key] for key in ('mean', 'low', 'high')}
        | {'seeds': [one['mean'] for one in result[name]['per_seed'].values()]}
        for name in FIGURES
    }


def _text(figure: dict[str, Any], digits: int) -> str:
    return describe(figure['mean'], figure['low'], figure['high'], figure['seeds'], digits)


def _table(rows: list[dict[str, Any]], task: str) -> str:
    if not rows:
        return ''
    lines = [
        f'| {task} | model | upright for the last 2 s, share of starts | return |',
        '|---|---|---|---|',
    ]
    order = ('ars', 'demo_layer', 'mppi', 'none')
    rows = [row for row in rows if not (row['step'] == 0 and row['model'] == 'biased')]  # the same
    rows.sort(key=lambda row: (order.index(row['agent']), row['model'] == 'biased', row['run']))
    for row in rows:
        upright, returns = _text(row['success_at_end'], 2), _text(row['return'], 1)
        model = '' if row['agent'] == 'ars' or row['step'] == 0 else row['model']
        lines.append(f'| {_label(row)} | {model} | {upright} | {returns} |')
    for row in rows:
        if 'swings_up' in row:
            share = describe_mean(np.array(row['swings_up']), 2, episodes=row['episodes'])
            lines.append(f'| policy alone: upright at some instant | | {share} | |')
    return '\n'.join(lines) + '\n\n'


def _label(row: dict[str, Any]) -> str:
    if row['agent'] == 'demo_layer' and row['step'] == 0:
        return 'policy alone (step 0)'
    names = {'ars': 'policy alone, where it learned', 'none': 'no control'}
    names |= {'demo_layer': 'with the layer', 'mppi': 'planner alone'}
    step = '' if row['step'] is None else f', step {row["step"]:g}'
    return names[row['agent']] + step + ', one iteration' * row['run'].endswith('_once')


def _draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Both figures against the step size, with intervals over seeds; the planner's own dashed."""
    tasks = list(dict.fromkeys(row['task'] for row in rows))
    figure = plots.new_figure(5.0 * len(tasks), 6.5)
    titles = {'success_at_end': 'share of starts upright for the last 2 s', 'return': 'return'}
    for place, (name, task) in enumerate((n, t) for n in FIGURES for t in tasks):
        axes = figure.add_subplot(2, len(tasks), place + 1)
        for model, colour in (('true', 'C0'), ('biased', 'C1')):
            own = [row for row in rows if row['task'] == task and row['model'] == model]
            layer = [row for row in own if row['run'] == f'layer_{model}']
            _draw_layer(axes, layer, name, f'layer, {model} model', colour)
            alone = [row for row in own if row['agent'] == 'mppi']
            axes.plot(
                [row['step'] for row in alone], [row[name]['mean'] for row in alone], 'x--',
                color=colour, lw=1, label=f'planner alone, {model} model',
            )  # fmt: skip
        axes.set_title(f'{task}: {titles[name]}', fontsize=9)
        axes.set_xlabel('step size (0: the policy alone)')
        axes.legend(fontsize=7)
    plots.save(figure, path)


def _draw_layer(axes, rows: list[dict[str, Any]], name: str, label: str, colour: str) -> None:
    if not rows:
        return
    rows = sorted(rows, key=lambda row: row['step'])
    steps = [row['step'] for row in rows]
    axes.plot(steps, [row[name]['mean'] for row in rows], 'o-', ms=3, label=label, color=colour)
    bounds = np.array([[row[name][key] for key in ('low', 'high')] for row in rows], float)
    axes.fill_between(steps, *bounds.T, alpha=0.15, color=colour, lw=0)
