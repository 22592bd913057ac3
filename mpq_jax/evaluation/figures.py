"""What test episodes came to: the figures of evaluation.json."""

from typing import Any

import jax
import numpy as np

from mpq_jax.base.statistics import INTERVAL, confidence_interval
from mpq_jax.config import Batch
from mpq_jax.environments.episode import SUCCESSES, Summary
from mpq_jax.runs.checkpoint import Checkpoint
from mpq_jax.tasks import load_task


def describe(
    batch: Batch,
    saved: Checkpoint,
    parameters: str,
    summary: Summary,
    idle: Summary | None = None,
) -> dict[str, Any]:
    """The content of evaluation.json; of a run with variants, `variants` holds those of each.

    Args:
      batch: the run's.
      saved: what was tested.
      parameters: 'last' or 'best', as asked for.
      summary: of the test episodes `[B, E]`.
      idle: of the same episodes without control `[S, E]`, where they were played.
    """
    config = batch.config
    task = load_task(config.task)
    judged, ends = task.success is not None, task.terminated is not None
    by_variant = jax.tree.map(
        lambda x: np.asarray(x).reshape(-1, config.num_seeds, *x.shape[1:]), summary
    )
    variants = [
        _figures(config.seeds, jax.tree.map(lambda x, v=v: x[v], by_variant), judged, ends)
        | _not_by_itself(config.seeds, by_variant.success[v], idle)
        for v in range(max(1, len(batch.variants)))
    ]
    if batch.variants:
        each = zip(batch.variants, variants, strict=True)
        figures: dict[str, Any] = {'variants': [{'fields': fields} | one for fields, one in each]}
    else:
        figures = variants[0]
    if idle is not None:
        figures['no_control'] = _figures(config.seeds, idle, judged, ends)
    return {
        'task': config.task,
        'agent': config.agent,
        'horizon': config.planner.horizon,
        'planner_model': config.planner_model,
        'parameters': _used(parameters, saved) if config.learns_q else None,
        'trained_episodes': saved.episode,
        'starts': config.starts,
        'test_episodes_per_seed': summary.episode_return.shape[1],
        'env_steps': _steps(summary) + (_steps(idle) if idle is not None else 0),
        'interval': INTERVAL,
    } | figures


def _steps(summary: Summary) -> int:
    return int(np.sum(summary.env_steps))


def _used(parameters: str, saved: Checkpoint) -> str:
    """Which parameters played: without a validation there are no best ones."""
    validated = np.isfinite(saved.state.best_returns).any()
    return parameters if validated else 'last'


def _figures(seeds: tuple[int, ...], summary: Summary, judged: bool, ends: bool) -> dict[str, Any]:
    """Of one variant: `[S, E]`; with the episodes' lengths where the task `ends` them."""

    def figure_of(name: str) -> dict[str, Any]:
        return _figure(seeds, np.asarray(getattr(summary, name), float), name in SUCCESSES)

    return {
        'return': figure_of('episode_return'),
        **{name: figure_of(name) if judged else None for name in SUCCESSES},
        **({'control_steps': figure_of('env_steps')} if ends else {}),
        **(
            {'own_return': figure_of('own_return')} if np.isfinite(summary.own_return).any() else {}
        ),
        'nonfinite_steps': int(np.sum(summary.nonfinite_steps)),
    }


def _not_by_itself(seeds: tuple[int, ...], success, idle: Summary | None) -> dict[str, Any]:
    """Success in those episodes `[S, E]` in which no control fails."""
    if idle is None:
        return {}
    left = np.where(np.asarray(idle.success), np.nan, np.asarray(success, float))
    return {'not_by_itself': _figure(seeds, left, is_rate=True)}


def _figure(seeds: tuple[int, ...], values: np.ndarray, is_rate: bool) -> dict[str, Any]:
    """Pooled mean with its interval, and every seed's episodes; NaN where one does not count."""
    held = np.isfinite(values)
    counts = held.sum(axis=1)
    sums = np.where(held, values, 0.0).sum(axis=1)
    means = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    low, high = confidence_interval(means, counts if is_rate else None)
    return {
        'mean': _number(np.nanmean(means) if counts.any() else np.nan),
        'low': _number(low),
        'high': _number(high),
        'per_seed': {
            str(seed): {'mean': _number(mean), 'episodes': [_number(v, 4) for v in row]}
            for seed, mean, row in zip(seeds, means, values, strict=True)
        },
    }


def _number(value, digits: int | None = None) -> float | None:
    """None for what is no number: JSON has no NaN."""
    if not np.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)
