"""The figures of a sweep: performance against a field, learning curves, cost, a heat map."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpq_jax.config.labels import NO_CONTROL, field_label
from mpq_jax.figures.plots import new_figure, save
from mpq_jax.figures.seed_curves import (
    caption,
    curve_styles,
    draw_curve,
    draw_figures,
    moving_mean,
    number,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HORIZON = 'planner.horizon'


def draw_all(outcomes: Sequence, summaries: Sequence, swept: Mapping, measure: str, path: Path):
    """Every figure that the swept fields allow, as PNGs in a directory.

    Args:
      outcomes: `results.Outcome` of each configuration.
      summaries: their entries in summary.json.
      swept: field -> its values.
      measure: 'return' or 'success'.
      path: the sweep directory.
    """
    learning_curves(outcomes, measure, path / 'learning_curves.png')
    against_model_steps(outcomes, measure, path / 'model_steps.png')
    several = {name: values for name, values in swept.items() if len(values) > 1}
    field = main_field(several)
    if field is not None:
        final_performance(summaries, field, measure, path / 'final_performance.png')
    if len(several) == 2:
        heat_map(summaries, several, measure, path / 'heat_map.png')


def main_field(several: Mapping[str, Sequence[Any]]) -> str | None:
    """The field that performance is drawn against: the horizon, or the first that is a number."""
    numeric = [n for n, v in several.items() if all(isinstance(x, int | float) for x in v)]
    return _HORIZON if _HORIZON in numeric else next(iter(numeric), None)


def learning_curves(outcomes: Sequence, measure: str, path: Path) -> None:
    """Each configuration's mean over seeds with its interval, smoothed over a twentieth."""
    figure, axes = _panel()
    for outcome, style in zip(outcomes, _styles([o.label for o in outcomes]), strict=True):
        window, smooth = _smooth(outcome.tables[measure])
        episodes = np.arange(window, window + smooth.shape[1])
        draw_curve(axes, episodes, smooth, outcome.label, style, _rate_of(measure, window))
    axes.set(xlabel='episode', ylabel=f'{measure} (moving mean)')
    axes.set_title(f'Learning curves: {_caption(outcomes)}', fontsize=10)
    _save(figure, axes, path)


def against_model_steps(outcomes: Sequence, measure: str, path: Path) -> None:
    """The same against physics steps of the planner's models: which setting earns its compute."""
    figure, axes = _panel()
    for outcome, style in zip(outcomes, _styles([o.label for o in outcomes]), strict=True):
        window, smooth = _smooth(outcome.tables[measure])
        steps = np.maximum(outcome.tables['model_steps'].mean(axis=0)[window - 1 :], 1)
        draw_curve(axes, steps, smooth, outcome.label, style, _rate_of(measure, window))
    axes.set(xscale='log', xlabel='model steps a seed', ylabel=f'{measure} (moving mean)')
    axes.set_title(f'What a model step buys: {_caption(outcomes)}', fontsize=10)
    _save(figure, axes, path)


def final_performance(summaries: Sequence, field: str, measure: str, path: Path) -> None:
    """Means with their intervals against one field, a line for each combination of the others.

    Few seeds have no interval: they are dots.
    """
    lines: dict[str, list] = {}
    for s in summaries:
        rest = {name: value for name, value in s['fields'].items() if name != field}
        others = field_label(rest)
        lines.setdefault(others, []).append((s['fields'][field], s['final'], s['auc']))
    values = {s['fields'][field] for s in summaries}
    figure = new_figure(10, 4.2)
    for axes, place, title in zip(
        figure.subplots(1, 2), (1, 2), ('last quarter of episodes', 'all episodes'), strict=True
    ):
        for (label, points), style in zip(lines.items(), _styles(list(lines)), strict=True):
            if label.startswith(NO_CONTROL) and field.startswith(('planner', 'learner')):
                points = [(value, *points[0][1:]) for value in values]  # the same at each
            points = sorted(points, key=lambda point: point[0])
            draw_figures(axes, [p[0] for p in points], [p[place] for p in points], label, style)
        if min(values) > 0 and max(values) >= 8 * min(values):
            axes.set_xscale('log', base=2)
        axes.set_xticks(sorted(values), [f'{v:g}' for v in sorted(values)])
        axes.minorticks_off()
        axes.set(xlabel=field, ylabel=measure, title=title)
        axes.grid(alpha=0.3)
    if len(lines) > 1:
        axes.legend(fontsize=8)
    figure.suptitle(caption([len(s['seeds']) for s in summaries], 'dots'), fontsize=10)
    save(figure, path)


def heat_map(summaries: Sequence, several: Mapping, measure: str, path: Path) -> None:
    """Final performance over two fields: interquartile means."""
    (row_name, rows), (column_name, columns) = several.items()
    table = np.full((len(rows), len(columns)), np.nan)
    for s in summaries:
        place = rows.index(s['fields'][row_name]), columns.index(s['fields'][column_name])
        table[place] = number(s['final']['iqm'])
    figure = new_figure(1.1 * len(columns) + 3, 0.7 * len(rows) + 2)
    axes = figure.subplots()
    image = axes.imshow(table, aspect='auto', cmap='viridis')
    middle = np.nanmean([np.nanmin(table), np.nanmax(table)])
    for (i, j), value in np.ndenumerate(table):
        if np.isfinite(value):
            color = 'black' if value > middle else 'white'
            axes.text(j, i, f'{value:.3g}', ha='center', va='center', color=color, fontsize=9)
    axes.set_xticks(range(len(columns)), [str(v) for v in columns])
    axes.set_yticks(range(len(rows)), [str(v) for v in rows])
    axes.set(
        xlabel=column_name, ylabel=row_name, title=f'{measure}, last quarter, interquartile mean'
    )
    figure.colorbar(image)
    save(figure, path)


def _panel() -> 'tuple[Figure, Axes]':
    figure = new_figure(8, 4.6)
    return figure, figure.subplots()


def _save(figure: 'Figure', axes: 'Axes', path: Path) -> None:
    axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    if len(handles) <= 12:
        axes.legend(fontsize=8)
    else:
        figure.legend(handles, labels, loc='outside right upper', fontsize=7)
    save(figure, path)


def _smooth(table: np.ndarray) -> tuple[int, np.ndarray]:
    """A window of a twentieth of the episodes, and the moving mean over it."""
    window = max(1, table.shape[1] // 20)
    return window, moving_mean(table, window)


def _rate_of(measure: str, episodes: int) -> int | None:
    """Over how many episodes a measure is a rate; None if it is none."""
    return None if measure == 'return' else episodes


def _caption(outcomes: Sequence) -> str:
    return caption([len(outcome.seeds) for outcome in outcomes])


def _styles(labels: Sequence[str]) -> list[dict[str, Any]]:
    """In the order of the grid, from dark to light."""
    from matplotlib import colormaps

    count = max(len(labels), 2)
    return curve_styles(labels, [colormaps['viridis'](x) for x in np.linspace(0.0, 0.9, count)])
