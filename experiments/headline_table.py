"""What the headline runs came to: every agent on every task, as far as it has run."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments import headline_text
from mpq_jax import published
from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, better, confidence_interval
from mpq_jax.comparison import baselines as comparison
from mpq_jax.comparison.paper_figures import evaluated
from mpq_jax.config.fields import get_field
from mpq_jax.config.labels import agent_label
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import RunDirectory, manifest
from mpq_jax.runs.tables import last_quarter
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.sweep.sweep_directory import SweepDirectory
from mpq_jax.tasks import load_task

OF_THE_PAPER = {'planner.temperature': 'table_3_temperature', 'planner.noise': 'white_noise'}
_ORDER = ('none', 'mppi', 'softq', 'mpq')
_DEFINITIONS = {
    'training': 'a mean over all training episodes',
    'last_quarter': 'a mean over the last quarter of them',
    'not_by_itself': 'success at any step in those training episodes in which no control fails',
    'test': 'with the last parameters, on starts of their own; the true system',
    'success': 'at any step, the start included',
    'success_at_end': 'at the last step',
    'success_share': 'share of time',
    'better': 'above no control, on the same seeds and starts: the interval of the paired '
    'differences (of success at any step, or of returns) lies above 0',
    'paper': 'one run: the mean of as many training episodes; success in 100 test episodes',
    'interval': INTERVAL,
}


def write(path: Path, test_episodes: dict[str, int], console: Console) -> None:
    """Writes `headline.json` and `headline.md` below the sweeps of the tasks; tests what trained.

    Args:
      path: the directory of the sweeps, each named after its task.
      test_episodes: a seed, by task; 0: none.
      console: where progress is shown.
    """
    rows = []
    for task, count in test_episodes.items():
        both = tuple(OF_THE_PAPER)
        combinations = ((), *((name,) for name in both), both)
        found = [SweepDirectory(path / sweep_with(task, names)) for names in combinations]
        own = [(d, o) for d in found if d.sweep_file.exists() for o in read_outcomes(d)]
        own.sort(key=lambda pair: _ORDER.index(pair[1].fields['agent']))
        rows += _rows(task, own, count, console)
        _draw(task, own, path)
    content = {'definitions': _DEFINITIONS, 'made_by': manifest(), 'rows': rows}
    write_atomically(path / 'headline.json', json.dumps(content, indent=1) + '\n')
    text = headline_text.markdown(rows)
    write_atomically(path / 'headline.md', text)
    console.print(text, markup=False)


def sweep_with(task: str, names: Iterable[str]) -> str:
    """The sweep of a task in which these fields are the paper's, not the preset's."""
    return '_'.join([task, *(OF_THE_PAPER[name] for name in names)])


def _rows(
    task: str,
    found: list[tuple[SweepDirectory, Outcome]],
    test_episodes: int,
    console: Console,
) -> list[dict[str, Any]]:
    reference = next((o for _, o in found if o.fields['agent'] == 'none'), None)
    rows = []
    for directory, outcome in found:
        tables = {
            name: outcome.tables[name]
            for name in ('return', *SUCCESSES)
            if not np.isnan(outcome.tables[name]).all()
        }
        rows.append(
            {
                'task': task,
                'chosen_on': load_task(task).settings_chosen_on,
                **outcome.fields,
                'temperature': _setting(directory, outcome, 'planner.temperature'),
                'noise': _setting(directory, outcome, 'planner.noise'),
                'seeds': outcome.seeds,
                'episodes': tables['return'].shape[1],
                'training': {name: _figure(table, name) for name, table in tables.items()},
                'last_quarter': {
                    name: _figure(last_quarter(table), name) for name, table in tables.items()
                },
                **_against(outcome, reference),
                'paper': _published(task, outcome),
                'test': _test(outcome, directory, test_episodes, console)
                if test_episodes and 'success' in tables
                else None,
            }
        )
    return rows


def _cells(directory: SweepDirectory, outcome: Outcome) -> list[RunDirectory]:
    return [
        RunDirectory(directory.path / cell['directory'])
        for cell in directory.read()['cells']
        if outcome.fields in cell['configurations']
    ]


def _setting(directory: SweepDirectory, outcome: Outcome, name: str) -> Any:
    if name in outcome.fields:  # may be one of many in its cell
        return outcome.fields[name]
    return get_field(_cells(directory, outcome)[0].read_config(), name)


def _draw(task: str, found: list[tuple[SweepDirectory, Outcome]], path: Path) -> None:
    """Learning curves of the agents with their own temperature, beside the paper's.

    With white noise in the preset's place MPQ's and the long plain MPPI's alone: at MPQ's horizon
    it changes little.
    """
    measure = 'return' if load_task(task).success is None else 'success'
    curves: dict[str, np.ndarray] = {}
    white = sweep_with(task, ['planner.noise'])
    for directory, outcome in found:
        agent, horizon = outcome.fields['agent'], outcome.fields['planner.horizon']
        label = agent_label(outcome.fields)
        if directory.path.name == white:
            if agent == 'mppi' and horizon != load_task(task).long_horizon:
                continue
            label += ', white noise'
        elif directory.path.name != task:
            continue
        curves[label] = outcome.tables[measure]
    if curves:
        theirs = comparison.labelled(published.training_curves(task))
        plots.learning_curve(curves, path / f'{task}.png', task, theirs, measure)


def _figure(table: np.ndarray, name: str) -> dict[str, Any]:
    """Of episodes `[S, E]`: the mean over seeds, its interval, every seed."""
    return _over_seeds(table.mean(axis=1), table.shape[1] if name in SUCCESSES else None)


def _over_seeds(values: np.ndarray, episodes: int | np.ndarray | None) -> dict[str, Any]:
    low, high = confidence_interval(values, episodes)
    mean = np.nanmean(values) if np.isfinite(values).any() else np.nan
    numbers = {'mean': mean, 'low': low, 'high': high}
    rounded = {k: None if np.isnan(v) else round(float(v), 4) for k, v in numbers.items()}
    return {**rounded, 'seeds': np.round(values, 4).tolist()}


def _against(outcome: Outcome, reference: Outcome | None) -> dict[str, Any]:
    """Held against no control in the very same episodes."""
    if reference is None or reference is outcome:
        return {}
    measure = 'return' if np.isnan(outcome.tables['success']).all() else 'success'
    own, idle = outcome.tables[measure], reference.tables[measure]
    episodes = min(own.shape[1], idle.shape[1])
    own, idle = own[:, :episodes], idle[:, :episodes]
    found: dict[str, Any] = {'better': better(own.mean(axis=1), idle.mean(axis=1))}
    if measure == 'success':
        left = idle == 0
        count = left.sum(axis=1)
        solved = (own * left).sum(axis=1)
        rates = np.where(count > 0, solved / np.maximum(count, 1), np.nan)
        found['not_by_itself'] = _over_seeds(rates, count)
    return found


def _published(task: str, outcome: Outcome) -> dict[str, float | None]:
    agent, horizon = outcome.fields['agent'], outcome.fields['planner.horizon']
    curve = published.training_curves(task).get((agent, horizon, 'biased'), np.array([]))
    episodes = outcome.tables['return'].shape[1]
    value = float(curve[episodes - 1]) if len(curve) >= episodes else None
    if value is not None and load_task(task).success is not None:
        value = round(value / episodes, 4)  # published as a count
    tested = published.success_rates(task).get((agent, horizon, 'real'))
    return {'training': value, 'test': tested}


def _test(
    outcome: Outcome, directory: SweepDirectory, episodes: int, console: Console
) -> dict[str, Any] | None:
    runs = _cells(directory, outcome)
    if any(run.finished_episodes < outcome.tables['return'].shape[1] for run in runs):
        return None  # still training
    results = [evaluated(run.path, episodes, console) for run in runs]
    return {
        name: _figure(
            np.array(
                [one['episodes'] for r in results for one in r[name]['per_seed'].values()], float
            ),
            name,
        )
        for name in ('return', *SUCCESSES)
    }
