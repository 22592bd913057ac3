"""Our sweeps drawn and tabled as the paper draws them, with its numbers beside ours."""

import json
from typing import Any

import numpy as np
from rich.console import Console

import mpq_jax
from mpq_jax import published
from mpq_jax.comparison import baselines as comparison
from mpq_jax.comparison import table_rows
from mpq_jax.config.labels import agent_label, agent_name, is_no_control
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.figures import plots
from mpq_jax.figures.seed_curves import caption, curve_styles, draw_figures
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep.grid import Fields
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.sweep.sweep_directory import SweepDirectory


def training_curves(directory: SweepDirectory, points: list[Fields], console: Console) -> None:
    """Figure 1: every agent, ours with its band, the paper's single run dashed."""
    task = directory.task
    outcomes = _chosen(directory, points)
    measure = _measure(task)
    curves = {agent_label(outcome.fields): outcome.tables[measure] for outcome in outcomes}
    theirs = comparison.labelled(published.training_curves(task))
    path = directory.path / 'training_curves.png'
    plots.learning_curve(curves, path, f'{task}, training', theirs, measure)
    rows = []
    for outcome in outcomes:
        label, episodes = agent_label(outcome.fields), outcome.tables[measure].shape[1]
        rows.append(
            {'agent': label, 'episodes': episodes, 'seeds': len(outcome.seeds)}
            | table_rows.training_figures(outcome, measure, episodes)
            | {'paper': _paper(theirs.get(label), episodes)}
        )
    table_rows.compare_training(rows, outcomes, measure)
    table_rows.write(directory, 'training_curves', rows)
    table_rows.show(console, f'{task}: training', rows)


def horizon_ablation(directory: SweepDirectory, points: list[Fields], console: Console) -> None:
    """Successes (or mean returns) against H, MPQ and MPPI, ours and the paper's.

    Counted over the episodes that every one of them has.
    """
    task = directory.task
    measure = _measure(task)
    theirs = published.ablation_curves(task)
    rows = []
    outcomes = _chosen(directory, points)
    episodes = min(outcome.tables[measure].shape[1] for outcome in outcomes)
    for outcome in outcomes:
        agent, horizon = outcome.fields['agent'], outcome.fields['planner.horizon']
        own = None if is_no_control(outcome.fields) else horizon
        rows.append(
            {'agent': agent, 'horizon': own, 'episodes': episodes, 'seeds': len(outcome.seeds)}
            | table_rows.training_figures(outcome, measure, episodes)
            | {'paper': _paper(theirs.get((agent, horizon, 'biased')), episodes)}
        )
    table_rows.compare_training(rows, outcomes, measure)
    _draw_ablation(rows, measure, directory)
    table_rows.write(directory, 'horizon_ablation', rows)
    table_rows.show(console, f'{task}: training, by horizon', rows)


def success_table(
    directory: SweepDirectory, points: list[Fields], episodes: int, console: Console
) -> None:
    """Table 2: the share of test episodes on the true system that succeed.

    Evaluations that an earlier call finished are not run again.
    """
    task = directory.task
    theirs = published.success_rates(task)
    rows, successes = [], []
    for point in points:
        results = [
            evaluated(directory.path / cell['directory'], episodes, console)
            for cell in directory.read()['cells']
            if point in cell['configurations']
        ]
        agent, horizon, data = point['agent'], point['planner.horizon'], point['q_data']
        figures = {
            name: {int(s): one['mean'] for r in results for s, one in r[name]['per_seed'].items()}
            for name in SUCCESSES
        }
        successes.append(figures['success'])
        row = {'agent': agent, 'horizon': None if is_no_control(point) else horizon}
        row |= {'q_data': data, 'seeds': len(figures['success'])}
        row |= {'train_episodes': results[0]['trained_episodes'], 'test_episodes': episodes}
        for name, by_seed in figures.items():
            row |= table_rows.figure_over_seeds(name, np.array(list(by_seed.values())), episodes)
        rows.append(row | {'paper': theirs.get((agent, horizon, data))})
    table_rows.compare_with_no_control(rows, points, successes)
    table_rows.write(
        directory, 'test_success', rows, dict.fromkeys(SUCCESSES, 'share of test episodes')
    )
    table_rows.show(console, f'{task}: success in test episodes on the true system', rows)


def evaluated(path, episodes: int, console: Console) -> dict[str, Any]:
    """A cell's evaluation, from its file where that is of the same training and length."""
    run = RunDirectory(path)
    if run.evaluation_file.exists():
        result = json.loads(run.evaluation_file.read_text())
        trained = result['trained_episodes'] == run.finished_episodes
        if trained and result['test_episodes_per_seed'] == episodes:
            return result
    return mpq_jax.evaluate(path, episodes, beside_no_control=False, console=console)


def _chosen(directory: SweepDirectory, points: list[Fields]) -> list[Outcome]:
    """The outcomes of some points, in their order."""
    outcomes = read_outcomes(directory)
    return [outcome for point in points for outcome in outcomes if outcome.fields == point]


def _measure(task: str) -> str:
    return 'return' if mpq_jax.load_task(task).success is None else 'success'


def _paper(curve: np.ndarray | None, episodes: int) -> float | None:
    """The paper's value after so many episodes, where it has them."""
    return None if curve is None or len(curve) < episodes else float(curve[episodes - 1])


def _draw_ablation(rows: list[dict[str, Any]], measure: str, directory: SweepDirectory) -> None:
    figure = plots.new_figure(10, 4.4)
    counted = 'successes' if measure == 'success' else 'mean return'
    agents = list(dict.fromkeys(row['agent'] for row in rows))
    names = [agent_name(agent) for agent in agents]
    for axes, name, title in zip(
        figure.subplots(1, 2),
        (measure, 'last_quarter'),
        (f'{counted} in {rows[0]["episodes"]} episodes', 'mean of the last quarter'),
        strict=True,
    ):
        horizons = sorted({r['horizon'] for r in rows if r['horizon'] is not None})
        for agent, label, style in zip(agents, names, curve_styles(names), strict=True):
            own = [row for row in rows if row['agent'] == agent]
            if own[0]['horizon'] is None:  # the same at every horizon
                own = [own[0] | {'horizon': horizon} for horizon in horizons]
            own = sorted(own, key=lambda row: row['horizon'])
            x = [row['horizon'] for row in own]
            draw_figures(axes, x, [_parts(row, name) for row in own], label, style)
            paper = [(r['horizon'], r['paper']) for r in own if r['paper'] is not None]
            if name == measure and paper:
                theirs = {'color': style['color'], 'lw': 1, 'ms': 3}
                label = f'paper: {label} (one run)'
                axes.plot(*zip(*paper, strict=True), 's--', label=label, **theirs)
        axes.set_xscale('log', base=2)
        axes.set_xticks(horizons)
        axes.xaxis.set_major_formatter('{x:g}')
        axes.minorticks_off()
        axes.set(xlabel='H', title=title)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.suptitle(caption([row['seeds'] for row in rows], 'dots'), fontsize=10)
    plots.save(figure, directory.path / 'horizon_ablation.png')


def _parts(row: dict[str, Any], name: str) -> dict[str, Any]:
    """A figure of a row, as `draw_figures` has it."""
    places = {'mean': '', 'low': '_low', 'high': '_high', 'per_seed': '_by_seed'}
    return {part: row[name + place] for part, place in places.items()}
