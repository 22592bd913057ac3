"""What the headline runs came to: every agent on every task, as far as it has run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments.paper_figures import evaluated
from mpq_jax.episode import SUCCESSES
from mpq_jax.run_directory import write_atomically
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.sweep.sweep_directory import SweepDirectory


def write(path: Path, test_episodes: dict[str, int], console: Console) -> None:
    """Writes `headline.json` below the sweeps of the tasks, testing what was trained.

    Args:
      path: the directory of the sweeps, each named after its task.
      test_episodes: a seed, by task; 0: none.
      console: where progress is shown.
    """
    rows = []
    for task, count in test_episodes.items():
        directory = SweepDirectory(path / task)
        if directory.sweep_file.exists():
            rows += [_row(task, each, directory, count, console) for each in _outcomes(directory)]
    write_atomically(path / 'headline.json', json.dumps(rows, indent=1) + '\n')


def _outcomes(directory: SweepDirectory) -> list[Outcome]:
    return read_outcomes(directory)


def _row(
    task: str, outcome: Outcome, directory: SweepDirectory, test_episodes: int, console: Console
) -> dict[str, Any]:
    """Every figure a seed, so that any interval can be made of them."""
    measures = [name for name in ('return', *SUCCESSES) if not np.isnan(outcome.tables[name]).all()]
    row = {
        'task': task,
        **outcome.fields,
        'seeds': outcome.seeds,
        'episodes': outcome.tables['return'].shape[1],
        'training': {name: outcome.tables[name].mean(axis=1).tolist() for name in measures},
    }
    if test_episodes and 'success' in measures:
        row['test'] = _test(outcome, directory, test_episodes, console)
    return row


def _test(
    outcome: Outcome, directory: SweepDirectory, episodes: int, console: Console
) -> dict[str, list[float]]:
    results = [
        evaluated(directory.path / cell['directory'], episodes, console)
        for cell in directory.read()['cells']
        if outcome.fields in cell['configurations']
    ]
    return {
        name: [one['mean'] for r in results for one in r[name]['per_seed'].values()]
        for name in ('return', *SUCCESSES)
    }
