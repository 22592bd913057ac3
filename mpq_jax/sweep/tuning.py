"""Settings for a task: generations of trials by Optuna's TPE, each generation a sweep.

Bergstra et al., *Algorithms for Hyper-Parameter Optimization* (2011). A generation's numbers are
one batch; what a directory holds already is not run again, and the search goes on as it went.
"""

import csv
import importlib
import io
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.validation import ConfigError
from mpq_jax.sweep.grid import Fields, Grid
from mpq_jax.sweep.launch import run_sweep
from mpq_jax.sweep.results import read_outcomes

_FINALISTS = 4


class Between(NamedTuple):
    """Numbers from low to high, by their logarithm."""

    low: float
    high: float


# Field -> numbers between two, or a choice.
Space = Mapping[str, Between | Sequence[Any]]


class Tried(NamedTuple):
    """A point of the search."""

    fields: Fields
    returns: tuple[float, ...]  # of each seed, the mean of its episodes
    generation: int

    @property
    def score(self) -> float:
        """The mean return; the worst there is where a seed has none."""
        mean = float(np.mean(self.returns))
        return mean if np.isfinite(mean) else -np.inf


class Tuned(NamedTuple):
    """What a search came to."""

    winner: Fields
    before: Tried  # the settings as they were, on the seeds of the final
    after: Tried  # the winner, on the same
    tried: list[Tried]  # all generations


def tune(
    fixed: Fields, space: Space, start: Fields, path: Path, *, hours: float, generation: int,
    console: Console,
) -> Tuned:  # fmt: skip
    """Searches for fields that give a task the best mean return.

    The settings as they are take part. At the end the best few and they play on as many further
    seeds, and the best of all seeds wins: one of many may have been lucky.

    Args:
      fixed: what all points share: task, agent, seed (the first), num_seeds, episodes.
      space: what is searched.
      start: the same fields as they are now.
      path: a directory: its generations, `tried.csv`, `settings.json` (the winner).
      hours: after which no generation begins that would not end in time; one always does.
      generation: points in each.
      console: where progress is shown.

    Raises:
      ConfigError: Optuna is not installed; a field that cannot have a value of the space.
    """
    study, distributions = _study(space)
    begun, longest, tried, number = time.monotonic(), 0.0, [], 0
    while number == 0 or time.monotonic() - begun + longest < 3600 * hours:
        since = time.monotonic()
        trials = [study.ask(distributions) for _ in range(generation)]
        points = [_rounded(trial.params) for trial in trials]
        told = points if number else [start, *points]
        console.print(f'generation {number}: {len(told)} points', markup=False)
        found = _run(fixed, told, path / f'generation_{number:03d}', number, console)
        for trial, one in zip(trials, found[len(told) - len(points) :], strict=True):
            if np.isfinite(one.score):
                study.tell(trial, one.score)
            else:
                study.tell(trial, state=_optuna().trial.TrialState.FAIL)
        tried += found
        _write(path, tried)
        best = max(tried, key=lambda one: one.score)
        console.print(f'best so far {best.score:.4g}: {best.fields}', markup=False)
        longest, number = max(longest, time.monotonic() - since), number + 1
    tuned = _final(fixed, start, tried, path, number, console)
    write_atomically(path / 'settings.json', json.dumps(tuned.winner, indent=1) + '\n')
    return tuned


def _final(
    fixed: Fields, start: Fields, tried: list[Tried], path: Path, number: int, console: Console
) -> Tuned:
    """The best few and the settings as they were, on seeds of their own."""
    ranked = sorted(tried, key=lambda one: -one.score)
    points = [start, *(one.fields for one in ranked[:_FINALISTS] if one.fields != start)]
    console.print(f'final: {len(points)} points on seeds of their own', markup=False)
    later = fixed | {'seed': fixed['seed'] + fixed['num_seeds']}
    found = _run(later, points, path / f'final_{number:03d}', number, console)
    first = {json.dumps(one.fields): one for one in tried}
    both = [
        one._replace(returns=first[json.dumps(one.fields)].returns + one.returns) for one in found
    ]
    winner = max(both, key=lambda one: one.score)
    after = found[both.index(winner)]
    return Tuned(winner.fields, found[0], after, tried)


def _run(
    fixed: Fields, points: list[Fields], path: Path, number: int, console: Console
) -> list[Tried]:
    """In the order of the points."""
    distinct = list({json.dumps(point): point for point in points}.values())
    directory = run_sweep(Grid.of(fixed, tuple(distinct)), path, console=console)
    tables = {json.dumps(o.fields): o.tables['return'] for o in read_outcomes(directory)}
    returns = [tables[json.dumps(point)].mean(axis=1) for point in points]
    return [
        Tried(point, tuple(map(float, own)), number)
        for point, own in zip(points, returns, strict=True)
    ]


def _study(space: Space) -> tuple[Any, dict[str, Any]]:
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    kinds = optuna.distributions
    distributions = {
        name: kinds.FloatDistribution(each.low, each.high, log=True)
        if isinstance(each, Between)
        else kinds.CategoricalDistribution(list(each))
        for name, each in space.items()
    }
    sampler = optuna.samplers.TPESampler(seed=0, multivariate=True, constant_liar=True)
    return optuna.create_study(direction='maximize', sampler=sampler), distributions


def _optuna() -> Any:
    try:
        return importlib.import_module('optuna')
    except ImportError as error:
        wanted = "installed: pip install -e '.[tune]'"
        raise ConfigError('optuna', 'not installed', wanted) from error


def _rounded(fields: Mapping[str, Any]) -> Fields:
    """Numbers to three digits: what is written down is what ran."""
    return {
        name: float(f'{value:.3g}') if isinstance(value, float) else value
        for name, value in fields.items()
    }


def _write(path: Path, tried: list[Tried]) -> None:
    """All that was tried, the best first."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    names = list(tried[0].fields)
    writer.writerow(['score', 'generation', *names, 'returns of the seeds'])
    for one in sorted(tried, key=lambda one: -one.score):
        returns = ' '.join(f'{value:.6g}' for value in one.returns)
        values = [one.fields[name] for name in names]
        writer.writerow([f'{one.score:.6g}', one.generation, *values, returns])
    write_atomically(path / 'tried.csv', table.getvalue())
