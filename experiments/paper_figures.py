"""Our sweeps drawn and tabled as the paper draws them, with its numbers beside ours."""

import csv
import io
import json
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import mpq_jax
from experiments import comparison, published
from mpq_jax import plots
from mpq_jax.config import AGENT_NAMES
from mpq_jax.run_directory import RunDirectory, write_atomically
from mpq_jax.statistics import bootstrap_interval
from mpq_jax.sweep.grid import Fields
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.sweep.sweep_directory import SweepDirectory

_INTERVAL = '95 % percentile bootstrap of the mean, seeds resampled; null with one seed'


def training_curves(directory: SweepDirectory, points: list[Fields], console: Console) -> None:
    """Figure 1: every agent, ours with its band, the paper's single run dashed."""
    task = directory.read()['fixed']['task']
    measure = _measure(task)
    outcomes = _chosen(directory, points)
    curves = {_label(outcome.fields): outcome.tables[measure] for outcome in outcomes}
    theirs = comparison.labelled(published.training_curves(task))
    path = directory.path / 'training_curves.png'
    plots.learning_curve(curves, path, f'{task}, training', theirs, measure)
    rows = []
    for label, table in curves.items():
        episodes = table.shape[1]
        accumulated = table.sum(axis=1) / (episodes if measure == 'return' else 1)
        paper = theirs.get(label, np.array([]))
        rows.append(
            {'agent': label, 'episodes': episodes, 'seeds': len(table)}
            | _interval('ours', accumulated)
            | _interval('last_quarter', table[:, -max(1, episodes // 4) :].mean(axis=1))
            | {'paper': float(paper[episodes - 1]) if len(paper) >= episodes else None}
        )
    title = 'mean return' if measure == 'return' else 'successes'
    _write(directory, 'training_curves', rows, {'ours and paper': f'{title} since episode 1'})
    _show(console, f'{task}: {title} since the first episode, and a mean of the last quarter', rows)


def horizon_ablation(directory: SweepDirectory, points: list[Fields], console: Console) -> None:
    """Successes (or mean returns) against H, MPQ and MPPI, ours and the paper's.

    Counted over the episodes that every one of them has.
    """
    task = directory.read()['fixed']['task']
    measure = _measure(task)
    theirs = published.ablation_curves(task)
    rows = []
    outcomes = _chosen(directory, points)
    episodes = min(outcome.tables[measure].shape[1] for outcome in outcomes)
    for outcome in outcomes:
        agent, horizon = outcome.fields['agent'], outcome.fields['planner.horizon']
        table = outcome.tables[measure][:, :episodes]
        paper = theirs.get((agent, horizon, 'biased'), np.array([]))
        rows.append(
            {'agent': agent, 'horizon': horizon, 'episodes': episodes, 'seeds': len(table)}
            | _interval('ours', table.sum(axis=1) if measure == 'success' else table.mean(axis=1))
            | _interval('last_quarter', table[:, -max(1, episodes // 4) :].mean(axis=1))
            | {'paper': float(paper[episodes - 1]) if len(paper) >= episodes else None}
        )
    counted = 'successes' if measure == 'success' else 'mean return'
    _draw_ablation(rows, counted, directory)
    _write(directory, 'horizon_ablation', rows, {'ours and paper': f'{counted} since episode 1'})
    _show(console, f'{task}: {counted} by horizon, and a mean of the last quarter', rows)


def success_table(
    directory: SweepDirectory, points: list[Fields], episodes: int, console: Console
) -> None:
    """Table 2: the share of test episodes on the true system that succeed.

    Evaluations that an earlier call finished are not run again.
    """
    task = directory.read()['fixed']['task']
    theirs = published.success_rates(task)
    rows = []
    for point in points:
        results = [
            evaluated(directory.path / cell['directory'], episodes, console)
            for cell in directory.read()['cells']
            if point in cell['configurations']
        ]
        agent, horizon, data = point['agent'], point['planner.horizon'], point['q_data']
        values = {
            name: np.array([one['mean'] for r in results for one in r[name]['per_seed'].values()])
            for name in ('success', 'success_at_end', 'success_share')
        }
        rows.append(
            {'agent': agent, 'horizon': horizon, 'q_data': data, 'seeds': len(values['success'])}
            | {'train_episodes': results[0]['trained_episodes'], 'test_episodes': episodes}
            | _interval('ours', values['success'])
            | {'at_end': round(float(values['success_at_end'].mean()), 4)}
            | {'share_of_time': round(float(values['success_share'].mean()), 4)}
            | {'paper': theirs.get((agent, horizon, data))}
        )
    _write(directory, 'test_success', rows, {'ours and paper': 'share of test episodes'})
    _show(console, f'{task}: success in test episodes on the true system', rows)


def evaluated(path, episodes: int, console: Console) -> dict[str, Any]:
    """A cell's evaluation, from its file where that is of the same training and length."""
    run = RunDirectory(path)
    if run.evaluation_file.exists():
        result = json.loads(run.evaluation_file.read_text())
        trained = result['trained_episodes'] == run.finished_episodes
        if trained and result['test_episodes_per_seed'] == episodes:
            return result
    return mpq_jax.evaluate(path, episodes, console=console)


def _chosen(directory: SweepDirectory, points: list[Fields]) -> list[Outcome]:
    """The outcomes of some points, in their order."""
    outcomes = read_outcomes(directory)
    return [outcome for point in points for outcome in outcomes if outcome.fields == point]


def _measure(task: str) -> str:
    return 'return' if mpq_jax.load_task(task).success is None else 'success'


def _label(fields: Fields) -> str:
    return comparison.label(mpq_jax.set_fields(mpq_jax.preset(), fields))


def _interval(name: str, values: np.ndarray) -> dict[str, Any]:
    low, high = bootstrap_interval(values)
    named = {name: values.mean(), f'{name}_low': low, f'{name}_high': high}
    return {k: None if np.isnan(v) else round(float(v), 4) for k, v in named.items()}


def _draw_ablation(rows: list[dict[str, Any]], counted: str, directory: SweepDirectory) -> None:
    figure = plots.new_figure(10, 4.2)
    for axes, name, title in zip(
        figure.subplots(1, 2),
        ('ours', 'last_quarter'),
        (f'{counted} in {rows[0]["episodes"]} episodes', 'mean of the last quarter'),
        strict=True,
    ):
        for agent, color in (('mpq', '#c0392b'), ('mppi', '#2471a3')):
            own = sorted((r for r in rows if r['agent'] == agent), key=lambda r: r['horizon'])
            x = [r['horizon'] for r in own]
            low, middle, high = (
                np.array([np.nan if r[key] is None else r[key] for r in own], float)
                for key in (f'{name}_low', name, f'{name}_high')
            )
            axes.plot(x, middle, 'o-', color=color, label=AGENT_NAMES[agent])
            axes.fill_between(x, low, high, color=color, alpha=0.18, lw=0)
            paper = [(r['horizon'], r['paper']) for r in own if r['paper'] is not None]
            if name == 'ours' and paper:
                label = f'paper: {AGENT_NAMES[agent]} (one run)'
                axes.plot(*zip(*paper, strict=True), 's--', color=color, lw=1, ms=3, label=label)
        axes.set_xscale('log', base=2)
        axes.set_xticks(sorted({r['horizon'] for r in rows}))
        axes.xaxis.set_major_formatter('{x:g}')
        axes.minorticks_off()
        axes.set(xlabel='H', title=title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    plots.save(figure, directory.path / 'horizon_ablation.png')


def _write(
    directory: SweepDirectory, name: str, rows: list[dict[str, Any]], columns: dict[str, str]
) -> None:
    """The rows as JSON and CSV."""
    content = {'columns': columns | {'low, high': _INTERVAL}, 'rows': rows}
    write_atomically(directory.path / f'{name}.json', json.dumps(content, indent=1) + '\n')
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(directory.path / f'{name}.csv', stream.getvalue())


def _show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """A table: each figure with its interval in one column."""
    shown = [name for name in rows[0] if not name.endswith(('_low', '_high'))]
    table = Table(title=title)
    for name in shown:
        table.add_column(name.replace('_', ' '))
    for row in rows:
        table.add_row(*(_text(row, name) for name in shown))
    console.print(table)


def _text(row: dict[str, Any], name: str) -> str:
    value, low, high = row[name], row.get(f'{name}_low'), row.get(f'{name}_high')
    if not isinstance(value, float):
        return '' if value is None else str(value)
    interval = '' if low is None or high is None else f' [{_number(low)}, {_number(high)}]'
    return _number(value) + interval


def _number(value: float) -> str:
    """148, 9.5, 0.26: two decimals below a hundred, without zeros at their end."""
    if abs(value) >= 100:
        return f'{value:.0f}'
    return f'{value:.2f}'.rstrip('0').rstrip('.')
