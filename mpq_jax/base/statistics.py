"""Figures over seeds: means, interquartile means, 95 % intervals, comparisons."""

from collections.abc import Mapping, Sequence

import numpy as np

LEAST_SEEDS = 5  # below, no interval holds what it promises: the seeds themselves are shown

# What (low, high) are: for readers, and for the files that hold them.
INTERVAL_IN_WORDS = (
    "95 % interval of the mean over seeds: Student's t; for figures of success of arcsine-"
    'transformed rates, with the binomial variance at least'
)
INTERVAL = f'{INTERVAL_IN_WORDS}; null below {LEAST_SEEDS} seeds'

Interval = tuple[np.ndarray, np.ndarray]


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half over axis 0, so that no lucky or failed run decides it.

    As in Agarwal et al. (2021); a value that lies half inside counts half.
    """
    edges = np.linspace(0.0, 1.0, len(values) + 1)
    weights = np.diff(np.clip(edges, 0.25, 0.75)) / 0.5
    return np.tensordot(weights, np.sort(values, axis=0), axes=1)


def confidence_interval(values: np.ndarray, episodes: int | np.ndarray | None = None) -> Interval:
    """95 % interval of the mean over axis 0 (seeds).

    Args:
      values: `[S, ...]`, one figure a seed; NaN where a seed has none.
      episodes: given for rates in [0, 1] (success at any step, at the end, share of time): over
        how many episodes a seed's rate is; broadcasts against `values`.

    Returns:
      (low, high), each `[...]`; NaN with fewer than `LEAST_SEEDS` values. Rates stay in [0, 1] and
      their interval always has a width; E times it is the interval of a count among E episodes.
    """
    values = np.asarray(values, float)
    held = np.isfinite(values)
    count = held.sum(axis=0)
    enough = count >= LEAST_SEEDS
    seeds = np.where(enough, count, LEAST_SEEDS)  # elsewhere any number will do
    values = np.where(held & enough, values, 0.0)
    if episodes is None:
        low, high = _mean_interval(values, held, seeds)
    else:
        low, high = _rate_interval(values, held, seeds, np.asarray(episodes, float))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def _mean_interval(values: np.ndarray, held: np.ndarray, seeds: np.ndarray) -> Interval:
    """Student's t with one degree of freedom fewer than for normal figures: five figures as skewed
    as exponential ones are covered nine times in ten then."""
    mean = values.sum(axis=0) / seeds
    half = _quantile(seeds - 2) * np.sqrt(_variance(values, held, seeds) / seeds)
    return mean - half, mean + half


def _rate_interval(
    rates: np.ndarray, held: np.ndarray, seeds: np.ndarray, episodes: np.ndarray
) -> Interval:
    """Student's t of arcsine-transformed rates, around the transformed rate of all episodes.

    There a rate of E episodes has variance 1/(4 E) whatever it is (Anscombe, 1948): seeds that
    happen to agree are not taken to vary less than that.
    """
    each = np.where(held, episodes, 0.0)
    total = np.maximum(each.sum(axis=0), 1.0)
    least = np.where(held, 0.25 / np.maximum(each, 1.0), 0.0).sum(axis=0) / seeds
    centre = _angle((rates * each).sum(axis=0) / total, total)
    between = _variance(np.where(held, _angle(rates, episodes), 0.0), held, seeds)
    half = _quantile(seeds - 1) * np.sqrt(np.maximum(between, least) / seeds)
    low, high = np.clip([centre - half, centre + half], 0.0, np.pi / 2)
    return np.sin(low) ** 2, np.sin(high) ** 2


def _angle(rate: np.ndarray, episodes: np.ndarray) -> np.ndarray:
    return np.arcsin(np.sqrt((rate * episodes + 0.375) / (episodes + 0.75)))


def _variance(values: np.ndarray, held: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    mean = values.sum(axis=0) / seeds
    return np.where(held, (values - mean) ** 2, 0.0).sum(axis=0) / (seeds - 1)


def _quantile(degrees_of_freedom: np.ndarray) -> np.ndarray:
    from scipy import stats  # half a second to load, and not every run needs it

    return stats.t.ppf(0.975, degrees_of_freedom)


def describe_mean(values: np.ndarray, digits: int = 0, episodes: int | None = None) -> str:
    """'mean [low, high]' of one figure a seed, or 'mean (first, second, ...)' of few seeds.

    Args:
      values: `[S]`.
      digits: behind the point.
      episodes: as for `confidence_interval`.
    """
    low, high = confidence_interval(values, episodes)
    return describe(float(np.mean(values)), float(low), float(high), values, digits)


def describe(
    mean: float | None,
    low: float | None,
    high: float | None,
    seeds: Sequence[float] | np.ndarray,
    digits: int,
) -> str:
    """A mean with its interval, or where there is none with the seeds' values; or alone."""
    if mean is None:
        return ''
    text = f'{mean:.{digits}f}'
    if low is not None and high is not None and not np.isnan(low):
        return f'{text} [{low:.{digits}f}, {high:.{digits}f}]'
    each = ', '.join(f'{value:.{digits}f}' for value in seeds)
    return f'{text} ({each})' if len(seeds) > 1 else text


def better(values: np.ndarray, reference: np.ndarray) -> bool:
    """Whether one figure a seed is above a reference's on the same seeds, each `[S]`.

    The 95 % interval of the differences lies above 0; with few seeds every difference does.
    """
    difference = np.asarray(values, float) - np.asarray(reference, float)
    low, _ = confidence_interval(difference)
    return bool(low > 0) if len(difference) >= LEAST_SEEDS else bool((difference > 0).all())


def against(own: Mapping[int, float], reference: Mapping[int, float] | None) -> str:
    """'better' or 'not better' than a reference, both by seed, on the seeds that both have.

    Nothing where there are none.
    """
    common = [seed for seed in own if seed in (reference or {})]
    if not reference or not common:
        return ''
    pairs = np.array([(own[seed], reference[seed]) for seed in common])
    return 'better' if better(pairs[:, 0], pairs[:, 1]) else 'not better'
