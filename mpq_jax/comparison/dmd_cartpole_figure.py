"""The published cartpole experiment of DMD-MPC, drawn, and its findings held against ours."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import confidence_interval
from mpq_jax.comparison import dmd_cartpole
from mpq_jax.comparison.dmd_cartpole import EPISODES, STEPS, Cell
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import manifest

Found = Sequence[tuple[Cell, np.ndarray]]

_TITLES = {
    'expected_cost': 'expected cost',
    'exponential_utility': 'exponential utility',
    'low_cost': 'probability of low cost',
}
_PARAMETERS = {'exponential_utility': 'temperature', 'low_cost': 'elite fraction'}
_STILL = STEPS * (500 * np.pi**2 + 1000)  # hanging at rest, no control


def reproduce(path: Path, console: Console, draw_only: bool) -> None:
    """Runs what is left of the cells, then draws; `path` is a directory.

    Beside the costs of all episodes (`dmd_cartpole.csv`) there are a figure (`.png`), and the
    paper's findings, confirmed or not (`.json`, `.md`).
    """
    file = path / 'dmd_cartpole.csv'

    def on_cell(cell: Cell, done: int, count: int) -> None:
        console.print(f'{done}/{count} {_said(cell)}, {EPISODES} episodes', markup=False)

    found = dmd_cartpole.read(file) if draw_only else dmd_cartpole.run(file, on_cell)
    findings = judge(found)
    content = {'no_control': _STILL, 'findings': findings, 'made_by': manifest()}
    write_atomically(path / 'dmd_cartpole.json', json.dumps(content, indent=1) + '\n')
    text = '\n'.join(f'- {name}: **{verdict}** ({why})' for name, verdict, why in findings)
    write_atomically(path / 'dmd_cartpole.md', text + '\n')
    _draw(found, path / 'dmd_cartpole.png')
    console.print(text, markup=False)


def _said(cell: Cell) -> str:
    what = _PARAMETERS.get(cell.loss)
    parameter = f', {what} {cell.parameter:g}' if what else ''
    return f'{_TITLES[cell.loss]}, N={cell.num_samples}, step {cell.step_size:.3g}{parameter}'


def judge(found: Found) -> list[tuple[str, str, str]]:
    """Of each finding: the paper's words; confirmed, denied, open or not run; what was measured."""
    best = {(loss, n): _best(_by_step(found, loss, n)) for loss in _TITLES for n in (10, 100, 1000)}
    return [
        _mean_cost_step(best),
        _mean_cost_samples(best),
        *_more_samples(best),
        *_above_one(found),
    ]


def _by_step(found: Found, loss: str, samples: int) -> dict[float, float]:
    """Mean cost by step size, at the parameter of the first figure."""
    parameter = {'exponential_utility': 1.0, 'low_cost': 1e-3, 'expected_cost': 0.0}[loss]
    return {
        cell.step_size: float(np.nanmean(costs))
        for cell, costs in found
        if (cell.loss, cell.num_samples, cell.parameter) == (loss, samples, parameter)
    }


def _best(by_step: dict[float, float]) -> tuple[float, float] | None:
    return min(by_step.items(), key=lambda item: item[1]) if by_step else None


def _mean_cost_step(best) -> tuple[str, str, str]:
    name = 'Expected cost is best near a step of 0.01'
    steps = [best['expected_cost', n] for n in (10, 100, 1000)]
    if None in steps:
        return name, 'not run', ''
    near = all(1e-3 <= step <= 1e-1 for step, _ in steps)
    return (
        name,
        _verdict(near),
        ', '.join(f'{step:.0e}' for step, _ in steps) + ' for N = 10 to 1000',
    )


def _mean_cost_samples(best) -> tuple[str, str, str]:
    name = 'Expected cost hardly depends on N'
    costs = [best['expected_cost', n] for n in (10, 100, 1000)]
    if None in costs:
        return name, 'not run', ''
    values = [cost for _, cost in costs]
    spread = max(values) / min(values)
    return name, _verdict(spread < 1.1), f'best costs differ by a factor of {spread:.2f}'


def _more_samples(best) -> list[tuple[str, str, str]]:
    rows = []
    for loss in _PARAMETERS:
        name = f'{_TITLES[loss]}: more samples allow larger steps'
        steps = [best[loss, n] for n in (10, 100, 1000)]
        if None in steps:
            rows.append((name, 'not run', ''))
            continue
        sizes = [step for step, _ in steps]
        grows = sizes[0] < sizes[2] and sizes == sorted(sizes)
        said = ', '.join(f'{size:.3g}' for size in sizes)
        rows.append((name, _verdict(grows), f'best steps {said} for N = 10, 100, 1000'))
    return rows


def _above_one(found: Found) -> list[tuple[str, str, str]]:
    """A step of 2 against 1: the ten episodes, whose random numbers all cells share, in pairs."""
    rows = []
    for loss in _PARAMETERS:
        name = f'{_TITLES[loss]}, N = 1000: a step above 1 beats 1 over the parameters'
        costs = {
            (cell.parameter, cell.step_size): values
            for cell, values in found
            if cell.loss == loss and cell.num_samples == 1000
        }
        whole = sorted(p for p, step in costs if step == 2.0 and (p, 1.0) in costs)
        if not whole:
            rows.append((name, 'not run', ''))
            continue
        saved = np.mean([1 - costs[p, 2.0] / costs[p, 1.0].mean() for p in whole], axis=0)
        saved -= np.mean([1 - costs[p, 1.0] / costs[p, 1.0].mean() for p in whole], axis=0)
        low, high = confidence_interval(saved)
        verdict = 'confirmed' if low > 0 else 'denied' if high < 0 else 'open'
        said = f'step 2 costs {saved.mean():.0%} [{low:.0%}, {high:.0%}] less than step 1'
        lower = sum(costs[p, 2.0].mean() < costs[p, 1.0].mean() for p in whole)
        rows.append((name, verdict, f'{said}; less with {lower} of {len(whole)} parameters'))
    return rows


def _by_parameter(found: Found, loss: str) -> dict[float, dict[float, float]]:
    steps: dict[float, dict[float, float]] = {}
    for cell, costs in found:
        if (
            cell.loss == loss
            and cell.num_samples == 1000
            and cell.step_size in (0.25, 0.5, 1, 2, 4)
        ):
            steps.setdefault(cell.parameter, {})[cell.step_size] = float(np.nanmean(costs))
    return dict(sorted(steps.items()))


def _verdict(holds: bool) -> str:
    return 'confirmed' if holds else 'denied'


def _draw(found: Found, path: Path) -> None:
    """Costs against step sizes for three N, and against the utilities' parameters."""
    figure = plots.new_figure(14.0, 7.0)
    for place, loss in enumerate(_TITLES):
        axes = figure.add_subplot(2, 3, place + 1)
        for samples in (10, 100, 1000):
            means = sorted(_by_step(found, loss, samples).items())
            axes.plot(
                *zip(*means, strict=True) if means else ([], []), 'o-', label=f'N = {samples}'
            )
        _dress(axes, _TITLES[loss], 'step size')
    for place, loss in enumerate(_PARAMETERS):
        axes = figure.add_subplot(2, 3, place + 5)
        by_parameter = _by_parameter(found, loss)
        for step in (0.25, 0.5, 1.0, 2.0, 4.0):
            means = [(p, costs[step]) for p, costs in by_parameter.items() if step in costs]
            axes.plot(
                *zip(*means, strict=True) if means else ([], []), 'o-', label=f'step {step:g}'
            )
        _dress(axes, f'{_TITLES[loss]}, N = 1000', _PARAMETERS[loss])
    plots.save(figure, path)


def _dress(axes, title: str, across: str) -> None:
    axes.axhline(_STILL, color='0.6', linestyle=':', label='no control')
    axes.set_xscale('log')
    axes.set_yscale('log')
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(across)
    axes.set_ylabel(f'cost of an episode, mean of {EPISODES}')
    axes.legend(fontsize=7)
