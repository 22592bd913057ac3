"""Means, interquartile means and their 95 % bootstrap intervals, over seeds."""

from collections.abc import Callable

import numpy as np


def interquartile_mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    """The mean of the middle half: no lucky or failed run decides it (Agarwal et al., 2021)."""
    from scipy import stats  # half a second to load, and not every run needs it

    return stats.trim_mean(values, 0.25, axis=axis)


def bootstrap_interval(
    values: np.ndarray, statistic: Callable = np.mean
) -> tuple[np.ndarray, np.ndarray]:
    """95 % percentile-bootstrap interval of a statistic over axis 0 (seeds).

    Args:
      values: `[S, ...]`, one run a row.
      statistic: called with `axis`; the mean if left out.

    Returns:
      (low, high), each `[...]`; NaN with fewer than two rows, when there is nothing to resample.
    """
    from scipy import stats

    values = np.asarray(values, float)
    if len(values) < 2:
        nothing = np.full(values.shape[1:], np.nan)
        return nothing, nothing
    interval = stats.bootstrap(
        (values,), statistic, axis=0, n_resamples=2000, method='percentile', rng=0
    ).confidence_interval
    return interval.low, interval.high


def describe_mean(values: np.ndarray, digits: int = 0) -> str:
    """'mean [low, high]' of one figure a seed."""
    low, high = bootstrap_interval(values)
    mean = f'{np.mean(values):.{digits}f}'
    return mean if np.isnan(low) else f'{mean} [{low:.{digits}f}, {high:.{digits}f}]'
