"""Learning curves as the numbers that the page draws: means, intervals, seeds, axes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mpq_jax.base.statistics import LEAST_SEEDS, confidence_interval
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.report.content import Curve

_AXES = {'model_steps': 'model steps a seed', 'env_steps': 'environment steps a seed'}
_LABELS = {
    'return': 'return of each episode',
    'cumulative_return': 'mean return since the first episode',
    'success': 'success rate of each episode',
    'cumulative_success': 'successes since the first episode',
    'success_at_end': 'success rate at the end of each episode',
    'success_share': 'share of time in success of each episode',
    'validation_return': 'validation return',
    'validation_success': 'validation success rate',
    'own_return': "return of each episode by the environment's own rewards",
    'q_loss': 'loss of Q',
    'updates': 'gradient steps of a round',
    'effective_sample_size': 'effective sample size',
    'action_change': 'mean squared change of the action',
    'model_loss': 'negative log-likelihood of the learned model',
    'model_holdout_loss': 'the same on held-out data',
    'model_coverage': 'share of outcomes in the predicted 90 % band',
    'model_error': "the model's error H - 1 steps ahead (1: as if nothing moved)",
    'model_share': 'share of a minibatch from rollouts on the learned model',
    'model_transitions': 'transitions of a round that were kept from such rollouts',
    'policy_loss': 'loss of the policy',
    'entropy': "entropy of the policy's actions in nats",
    'entropy_temperature': 'what a nat of entropy is worth, in units of cost',
    'target_effective_sample_size': "effective sample size of Q's targets",
}
_SEED_VALUES = 60_000  # of one measure, beyond which many seeds are not drawn one by one

Numbers = list[float | int | None]


def chart(curves: Sequence[Curve]) -> dict[str, Any]:
    """What the page's script draws; numbers have six digits, null stands for none."""
    drawn = [(curve, _measures(curve)) for curve in curves]
    present = list(dict.fromkeys(name for _, measures in drawn for name in measures))
    known = [name for name in _LABELS if name in present]
    others = [name for name in present if name not in _LABELS]
    values = sum(curve.columns[name].size for curve in curves for name in list(curve.columns)[:1])
    fields = dict.fromkeys(name for curve in curves for name in curve.fields)
    return {
        'axes': [{'key': 'episode', 'label': 'episode'}]
        + [{'key': k, 'label': v} for k, v in _AXES.items() if any(k in c.columns for c in curves)],
        'measures': [
            {'key': name, 'label': _LABELS.get(name, name.replace('_', ' '))}
            for name in known + others
        ],
        'fields': [
            {'name': name, 'values': list(dict.fromkeys(c.fields.get(name, '') for c in curves))}
            for name in fields
        ],
        'curves': [_drawable(curve, measures, values <= _SEED_VALUES) for curve, measures in drawn],
    }


def to_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, allow_nan=False, separators=(',', ':'))
    return text.replace('<', '\\u003c').replace('>', '\\u003e').replace('&', '\\u0026')


def _interval(name: str, table: np.ndarray, curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) `[E]` over the seeds `[S, E]` that have a value at each episode."""
    if name == 'cumulative_success':
        episodes = np.maximum(np.cumsum(np.isfinite(curve.columns['success']), axis=1), 1)
        low, high = confidence_interval(table / episodes, episodes)
        return low * episodes.max(axis=0), high * episodes.max(axis=0)
    is_rate = name in (*SUCCESSES, 'validation_success')
    return confidence_interval(table, 1 if is_rate else None)


def _measures(curve: Curve) -> dict[str, np.ndarray]:
    """Measures with something to show, cumulative ones among them."""
    measures: dict[str, np.ndarray] = {}
    for name, table in curve.columns.items():
        shown = np.isfinite(table)
        if name in _AXES or name == 'validation_env_steps' or name.endswith('_seconds'):
            continue
        if not shown.any() or (name not in _LABELS and not table[shown].any()):
            continue
        measures[name] = table
        if name in ('return', 'success'):
            sums = np.nancumsum(table, axis=1)
            counts = np.maximum(np.cumsum(shown, axis=1), 1) if name == 'return' else 1
            measures[f'cumulative_{name}'] = np.where(shown, sums / counts, np.nan)
    return measures


def _drawable(curve: Curve, measures: Mapping[str, np.ndarray], with_seeds: bool) -> dict[str, Any]:
    episodes = max((table.shape[1] for table in curve.columns.values()), default=0)
    axes: dict[str, Numbers] = {'episode': [*range(1, episodes + 1)]}
    axes |= {k: _numbers(_mean(curve.columns[k])) for k in _AXES if k in curve.columns}
    drawn: dict[str, dict[str, Any]] = {}
    for name, table in measures.items():
        at = np.flatnonzero(np.isfinite(table).any(axis=0))
        lines = (_mean(table), *_interval(name, table, curve))
        mean, low, high = (_numbers(line[at]) for line in lines)
        drawn[name] = {'mean': mean}
        if len(at) < episodes:
            drawn[name]['at'] = at.tolist()
        if any(value is not None for value in low):
            drawn[name] |= {'low': low, 'high': high}
        counts = np.isfinite(table[:, at]).sum(axis=0)
        if (counts < len(curve.seeds)).any():
            drawn[name]['count'] = counts.tolist()
        few = len(curve.seeds) < LEAST_SEEDS  # no interval to draw
        if (with_seeds or few) and len(curve.seeds) > 1:
            drawn[name]['seeds'] = [_numbers(row[at]) for row in table]
    return {
        'label': curve.label,
        'fields': curve.fields,
        'seeds': curve.seeds,
        'noControl': curve.no_control,
        'axes': axes,
        'measures': drawn,
    }


def _mean(table: np.ndarray) -> np.ndarray:
    held = np.isfinite(table)
    counts = held.sum(axis=0)
    sums = np.where(held, table, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _numbers(values: np.ndarray) -> Numbers:
    """Six significant digits, whole where they are whole, None for none."""
    numbers: Numbers = []
    for value in values:
        short = float(f'{value:.6g}')
        if not np.isfinite(short):
            numbers.append(None)
        else:
            numbers.append(int(short) if short.is_integer() and abs(short) < 1e15 else short)
    return numbers
