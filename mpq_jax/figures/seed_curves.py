"""Curves over seeds: their colours, and a mean with its interval or with the seeds behind it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mpq_jax.base.statistics import LEAST_SEEDS, confidence_interval
from mpq_jax.config.labels import NO_CONTROL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GREY = '#7d8a94'  # no control; nothing else is grey
_COLORS = ('#c0392b', '#2471a3', '#1e8449', '#8e44ad', '#d68910')
_LINES = ('-', '-.', ':')  # the paper's are dashed


def curve_styles(labels: Sequence[str], colors: Sequence[Any] = _COLORS) -> list[dict[str, Any]]:
    """Colour and line of each curve: grey without control, else one colour after the other."""
    styles, taken = [], 0
    for label in labels:
        if label.startswith(NO_CONTROL):
            styles.append({'color': GREY, 'ls': '-'})
            continue
        line = _LINES[taken // len(colors) % len(_LINES)]
        styles.append({'color': colors[taken % len(colors)], 'ls': line})
        taken += 1
    return styles


def draw_curve(
    axes: 'Axes',
    x: np.ndarray,
    table: np.ndarray,
    label: str,
    style: Mapping[str, Any],
    episodes: int | np.ndarray | None = None,
    as_counts: bool = False,
) -> None:
    """The mean over seeds with its interval as a band; few seeds are thin lines behind it.

    Args:
      axes: where to draw.
      x: `[E]`.
      table: `[S, E]`.
      label: in the legend.
      style: what `curve_styles` gives.
      episodes: of rates, as for `confidence_interval`.
      as_counts: draw the rates times their episodes.
    """
    scale = episodes if as_counts else 1
    axes.plot(x, table.mean(axis=0) * scale, lw=1.6, label=label, **style)
    if len(table) >= LEAST_SEEDS:
        low, high = confidence_interval(table, episodes)
        axes.fill_between(x, low * scale, high * scale, color=style['color'], alpha=0.18, lw=0)
    elif len(table) > 1:
        for seed in table:
            axes.plot(x, seed * scale, lw=0.5, alpha=0.6, zorder=1, **style)


def caption(seeds: Sequence[int], drawn: str = 'thin lines') -> str:
    """What curves of so many seeds show: 'mean of 8 seeds, band: 95 % interval'.

    Args:
      seeds: of each curve.
      drawn: how few seeds are drawn: thin lines by `draw_curve`, dots by `draw_figures`.
    """
    same = len(set(seeds)) == 1
    if same and seeds[0] == 1:
        return 'one seed'
    parts = [f'mean of {seeds[0]} seeds' if same else 'mean over seeds']
    if max(seeds) >= LEAST_SEEDS:
        parts.append('band: 95 % interval')
    if any(1 < count < LEAST_SEEDS for count in seeds):
        few = '' if max(seeds) < LEAST_SEEDS else f' where there are fewer than {LEAST_SEEDS}'
        parts.append(f'{drawn}: the seeds{few}')
    return ', '.join(parts)


def draw_figures(
    axes: 'Axes', x: Sequence[float], figures: Sequence[Mapping], label: str, style: Mapping
) -> None:
    """A line of means, with a band or, where seeds are few, a dot each.

    Args:
      axes: where to draw.
      x: of each figure.
      figures: with 'mean', 'low', 'high' and 'per_seed'; None where there is none.
      label: in the legend.
      style: what `plots.curve_styles` gives.
    """
    low, mean, high = (np.array([number(f[k]) for f in figures]) for k in ('low', 'mean', 'high'))
    axes.plot(x, mean, marker='o', lw=1.6, ms=4, label=label, **style)
    axes.fill_between(x, low, high, color=style['color'], alpha=0.18, lw=0)
    for at, figure in zip(x, figures, strict=True):
        if figure['low'] is None:
            seeds = figure['per_seed']
            axes.plot([at] * len(seeds), seeds, '.', color=style['color'], ms=4, alpha=0.6)


def moving_mean(table: np.ndarray, window: int) -> np.ndarray:
    """`[S, E]` -> `[S, E - window + 1]`."""
    sums = np.cumsum(np.pad(table, ((0, 0), (1, 0))), axis=1)
    return (sums[:, window:] - sums[:, :-window]) / window


def number(value: float | None) -> float:
    """NaN for none."""
    return float('nan') if value is None else value
