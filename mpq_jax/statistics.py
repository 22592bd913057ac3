"""Means and their 95 % bootstrap intervals, over seeds."""

import numpy as np
from scipy import stats


def bootstrap_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile-bootstrap interval of the mean over axis 0 (seeds).

    Args:
      values: `[S, ...]`, one run a row.

    Returns:
      (low, high), each `[...]`; NaN with fewer than two rows, when there is nothing to resample.
    """
    values = np.asarray(values, float)
    if len(values) < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    interval = stats.bootstrap(
        (values,), np.mean, axis=0, n_resamples=2000, method='percentile', rng=0
    ).confidence_interval
    return interval.low, interval.high


def describe_mean(values: np.ndarray, digits: int = 0) -> str:
    """'mean [low, high]' of one figure a seed."""
    low, high = bootstrap_interval(values)
    mean = f'{np.mean(values):.{digits}f}'
    return mean if np.isnan(low) else f'{mean} [{low:.{digits}f}, {high:.{digits}f}]'
