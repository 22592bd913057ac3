"""Numbers that are not finite: rounds that are undone, members that never learn anything."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from mpq_jax.base.validation import NothingLearnedError
from mpq_jax.config import Batch
from mpq_jax.learning.algorithm import Metrics
from mpq_jax.runs.metrics import cell_text, iterate_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.runs.tables import MemberTables, tabulate
from mpq_jax.tasks.physics_warnings import heard

Counters = dict[str, np.ndarray]  # by column, `[B]`
_READ = ('env_steps', 'nonfinite_targets')  # of metrics.csv


def count_restores(metrics: Metrics, counters: Counters) -> str:
    """Counts the members whose round was undone (see `Programs.learn`); a message if some were."""
    columns = metrics.columns or {}
    said = []
    for loss, column, name in (
        (metrics.q_loss, 'q_restores', 'Q'),
        (columns.get('model_loss', ()), 'model_restores', 'the learned model'),
        (columns.get('policy_loss', ()), 'policy_restores', 'the policy'),
    ):
        if isinstance(loss, tuple):  # none is learned
            continue
        diverged = ~np.isfinite(np.asarray(loss, float)) & (counters['env_steps'] > 0)
        if diverged.any():
            counters[column] += diverged
            said.append(f'{name} diverged in {diverged.sum()} of {len(diverged)} members')
    return f'{", ".join(said)}: put back to what was before the round' if said else ''


def too_many_restores(batch: Batch, counters: Counters) -> str:
    """Why the run cannot go on; empty where it can."""
    most = batch.config.training.max_restores
    of_q = 'sac' if batch.config.agent == 'sac' else 'learner'
    for column, name, remedy in (
        ('q_restores', 'Q', f'{of_q}.learning_rate, or costs on a smaller scale'),
        ('model_restores', 'the learned model', 'dynamics.learning_rate'),
        ('policy_restores', 'the policy', "its algorithm's learning rate or step size"),
    ):
        for (_, seed), count in zip(batch.members, counters[column], strict=True):
            if count > most:
                return (
                    f'{name} of seed {seed} diverged {count} times, training.max_restores = '
                    f'{most}: a smaller {remedy}, may help'
                )
    return ''


class IdleMembers:
    """Members whose costs or states are not finite, so that they take no step, or learn nothing."""

    def __init__(self, say: Callable[[str], None]):
        self._say, self._said = say, False

    def look(self, block: Iterable[list[dict[str, Any]]]) -> None:
        """Says so while the run goes on, once; a block is rows of some episodes."""
        found = _reasons(tabulate(_as_text(block), names=_READ))
        if found and not self._said:
            self._say(f'so far {_sentence(found)}')
            self._said = True

    def conclude(self, run: RunDirectory) -> None:
        """Says so of a run that has ended: in the manifest, and as an error.

        Raises:
          NothingLearnedError: a member took no step in all its episodes, or none of its learning
            rounds had a finite target.
        """
        found = _reasons(tabulate(iterate_rows(run.metrics_file), names=_READ))
        if found:
            idle = [{'seed': s, 'variant': v, 'reason': why} for (v, s), why in found.items()]
            run.record(idle_members=idle)
            raise NothingLearnedError(f'{_sentence(found)}. All there is, is saved in {run.path}')


def _as_text(block: Iterable[list[dict[str, Any]]]) -> Iterator[dict[str, str]]:
    for rows in block:
        for row in rows:
            yield {n: cell_text(row.get(n)) for n in ('variant', 'seed', 'episode', *_READ)}


def _reasons(tables: MemberTables) -> dict[tuple[int, ...], str]:
    """What is wrong with each member (variant, seed) whose rows show no step, or no target."""
    steps, targets = (tables.columns[name] for name in _READ)
    reasons = {}
    for i, member in enumerate(tables.members):
        shares = targets[i][np.isfinite(targets[i])]
        if not np.nansum(steps[i]):
            reasons[member] = 'took no control step'
        elif shares.size and shares.min() == 1.0:
            reasons[member] = 'learned nothing'
    return reasons


def _sentence(reasons: dict[tuple[int, ...], str]) -> str:
    parts = []
    for reason, why in (
        ('took no control step', 'cost, observation or state is not finite where episodes start'),
        ('learned nothing', 'no target of a learning round is finite'),
    ):
        seeds = sorted({seed for (_, seed), given in reasons.items() if given == reason})
        if seeds:
            named = ', '.join(map(str, seeds))
            parts.append(f'seed{"s" * (len(seeds) > 1)} {named} {reason}: {why}')
    return '; '.join(parts)


class PhysicsWarnings:
    """MuJoCo's, counted in each episode and said once."""

    def __init__(self, say: Callable[[str], None]):
        self._say, self._said = say, False
        heard.listen()

    def in_episode(self, episode: int) -> int:
        """How many there were since the last time."""
        count, first = heard.take()
        if count and not self._said:
            self._say(f'MuJoCo warns ({count} times in episode {episode}): {first}')
            self._said = True
        return count
