"""What one episode says in metrics.csv."""

from typing import Any

import numpy as np

from mpq_jax.environments.episode import SUCCESSES, Summary
from mpq_jax.learning.algorithm import Metrics

# Cumulative columns, `[B]` each.
COUNTERS = (
    'env_steps', 'validation_env_steps', 'model_steps', 'q_restores', 'model_restores',
    'policy_restores',
)  # fmt: skip


def episode_rows(
    members: tuple[tuple[int, int], ...],
    episode: int,
    summary: Summary,
    counters: dict[str, np.ndarray],
    seconds: tuple[float, float],
    metrics: Metrics | None = None,
    validation: np.ndarray | None = None,
    physics_warnings: int = 0,
    measures_success: bool = True,
    random_actions: bool | None = None,
) -> list[dict[str, Any]]:
    """One row a member; see `metrics.COLUMNS`.

    Args:
      members: (variant, seed) of each `[B]`.
      episode: its number.
      summary: leaves `[B]`.
      counters: cumulative steps `[B]` by column.
      seconds: of the whole batch, collecting and learning.
      metrics: of the learning round `[B]`, where there was one.
      validation: mean returns `[B]`, where they were measured.
      physics_warnings: how many MuJoCo gave.
      measures_success: whether the task defines success.
      random_actions: whether the episode's were; None where that never is.
    """
    collect_seconds, learn_seconds = seconds
    learned = [metrics is not None and n > 0 for n in counters['env_steps']]  # not from nothing
    return [
        {
            'variant': variant,
            'seed': seed,
            'episode': episode,
            'return': summary.episode_return[i],
            **{name: getattr(summary, name)[i] for name in SUCCESSES if measures_success},
            **{name: int(count[i]) for name, count in counters.items()},
            'nonfinite_fraction': summary.nonfinite_fraction[i],
            'effective_sample_size': summary.effective_sample_size[i],
            'collect_seconds': collect_seconds,
            'learn_seconds': learn_seconds,
            'validation_return': None if validation is None else validation[i],
            'nonfinite_steps': int(summary.nonfinite_steps[i]),
            'physics_warnings': physics_warnings,
            'ess_missed': summary.ess_missed[i],
            'action_change': summary.action_change[i],
            **_own(summary, i),
            'random_actions': random_actions,
            **(_of_round(metrics, i) if metrics and learned[i] else {}),
        }
        for i, (variant, seed) in enumerate(members)
    ]


def _of_round(metrics: Metrics, i: int) -> dict[str, Any]:
    """What a learning round says of a member: of Q, of what else is learned."""
    names = 'q_loss', 'nonfinite_targets', 'target_effective_sample_size'
    of_q = {name: getattr(metrics, name) for name in names}
    row = {name: values[i] for name, values in of_q.items() if not isinstance(values, tuple)}
    others = {name: values[i] for name, values in (metrics.columns or {}).items()}
    if others.get('updates', 1) == 0:  # no gradient step was made
        row, others = {}, {k: x for k, x in others.items() if k.startswith(('updates', 'model_'))}
    # A loss of NaN is a round that was undone; of other columns it is nothing that was measured.
    return row | {k: x for k, x in others.items() if k.endswith('_loss') or not np.isnan(x)}


def _own(summary: Summary, i: int) -> dict[str, Any]:
    """What a system with rewards of its own says."""
    if np.isnan(summary.own_return[i]):
        return {}
    return {'own_return': summary.own_return[i], 'own_terminated': summary.own_terminated[i]}


def shown_figures(block: list[list[dict[str, Any]]]) -> str:
    """'return   -200  loss 1.5': the mean return of some episodes' rows, the last one's loss."""
    figures = [f'return {np.mean([row["return"] for rows in block for row in rows]):7.0f}']
    for name in ('q_loss', 'policy_loss'):
        if losses := [row[name] for row in block[-1] if row.get(name) is not None]:
            figures.append(f'loss {np.mean(losses):.2g}')
            break
    return '  '.join(figures)
