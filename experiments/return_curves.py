"""Rows with `steps` and `returns`: returns of training episodes against control steps."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mpq_jax.base.statistics import confidence_interval


def with_those_before(
    file: Path, rows: list[dict[str, Any]], key: Callable[[Mapping[str, Any]], tuple]
) -> list[dict[str, Any]]:
    """Rows, and those of a JSON file of before whose keys none of them has."""
    before = json.loads(file.read_text())['rows'] if file.exists() else []
    known = {key(row) for row in rows}
    return rows + [row for row in before if key(row) not in known]


def last_fifth(row: Mapping[str, Any], steps: int) -> float:
    """Mean return of the training episodes that ended in the last fifth of so many steps."""
    ends = np.array(row['steps'])
    return float(np.mean(np.array(row['returns'])[(ends > 0.8 * steps) & (ends <= steps)]))


def smoothed(row: Mapping[str, Any], at: np.ndarray, window: float) -> np.ndarray:
    """Mean returns of the episodes that ended within a window before each of `at`."""
    ends, returns = np.array(row['steps']), np.array(row['returns'])
    return np.array(
        [
            returns[(ends > x - window) & (ends <= x)].mean()
            if ((ends > x - window) & (ends <= x)).any()
            else np.nan
            for x in at
        ]
    )


def steps_to(row: Mapping[str, Any], threshold: float, window: float) -> float:
    """Control steps until the mean over a window before is as high; NaN where it never is."""
    ends = np.array(row['steps'])
    reached = ends[smoothed(row, ends, window) >= threshold]
    return float(reached[0]) if len(reached) else float('nan')


def draw(
    axes: Any, name: str, rows: list[dict[str, Any]], steps: int, color: str | None = None
) -> None:
    """The mean over rows of their last tenth of all steps, with its interval; no control a line."""
    if name == 'no control':
        mean = np.mean([np.mean(row['returns']) for row in rows])
        axes.axhline(mean, color='grey', lw=1, ls=':', label=name)
        return
    at = np.linspace(0.1 * steps, steps, 19)
    curves = np.array([smoothed(row, at, 0.1 * steps) for row in rows])
    some = ~np.isnan(curves).all(axis=0)
    at, curves = at[some], curves[:, some]
    (line,) = axes.plot(at, np.nanmean(curves, axis=0), label=name, color=color)
    if len(curves) >= 5:
        low, high = np.array([confidence_interval(x) for x in curves.T]).T
        axes.fill_between(at, low, high, alpha=0.15, color=line.get_color(), lw=0)
