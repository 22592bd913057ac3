"""What the combinations of planner and noise came to: one row each, as far as they have run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, describe_mean
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.runs.run_directory import manifest
from mpq_jax.sweep.results import Outcome, read_outcomes
from mpq_jax.sweep.sweep_directory import SweepDirectory

_COLUMNS = ('return', *SUCCESSES, 'effective_sample_size', 'ess_missed', 'action_change')
_DEFINITIONS = {
    'figures': "mean over seeds of each seed's mean over its episodes",
    'interval': INTERVAL,
    'success': 'at any step; success_at_end: at the last one; success_share: share of time',
    'action_change': 'mean squared change of the action from a control step to the next',
    'plan_milliseconds': 'one iteration of one plan, all combinations taking turns',
    'chosen': 'on seeds 0 to 4, 4 episodes each, by the mean return, at the horizon of the preset',
}
_HEAD = [
    'combination', 'return', 'success, at the end, share of time', 'action change', 'ms a plan',
    'chosen',
]  # fmt: skip


def write(path: Path, entries: dict[str, tuple], console: Console | None) -> None:
    """Writes `planners.json` and `planners.md` below `path` from the sweeps there; prints them.

    Rows of a `planners.json` that was put there, whose sweeps are elsewhere, are kept.
    """
    rows = [row for name in entries for row in _rows(path, name, entries[name])]
    for row in rows:
        times = _milliseconds(path, row['entry'])
        if row['combination'] in times:
            row['plan_milliseconds'] = times[row['combination']]
    content = {'definitions': _DEFINITIONS, 'made_by': manifest(), 'rows': rows}
    write_atomically(path / 'planners.json', json.dumps(content, indent=1) + '\n')
    text = markdown(rows)
    write_atomically(path / 'planners.md', text)
    if console is not None:
        console.print(text, markup=False)


def _milliseconds(path: Path, name: str) -> dict[str, float]:
    file = path / f'plan_milliseconds_{name}.json'
    return json.loads(file.read_text()) if file.exists() else {}


def kept_row(path: Path, name: str, which: str) -> dict[str, Any] | None:
    """The row of a combination that ran on another machine."""
    file = path / 'planners.json'
    if not file.exists() or SweepDirectory(path / name / which).sweep_file.exists():
        return None
    rows = json.loads(file.read_text())['rows']
    found = (row for row in rows if (row['entry'], row['combination']) == (name, which))
    return next(found, None)


def _rows(path: Path, name: str, entry: tuple) -> list[dict[str, Any]]:
    task, horizon, _, _, combinations = entry
    rows = []
    for which in ('no_control', *combinations):
        kept = kept_row(path, name, which)
        rows += [kept] if kept else []
        directory = SweepDirectory(path / name / which)
        for outcome in read_outcomes(directory) if directory.sweep_file.exists() else ():
            seeds = {'seeds': outcome.seeds, 'episodes': outcome.tables['return'].shape[1]}
            what = {'entry': name, 'task': task, 'horizon': horizon, 'combination': which}
            rows.append({**what, **seeds, 'chosen': _chosen(outcome), **_figures(outcome)})
    return rows


def _chosen(outcome: Outcome) -> dict[str, Any]:
    return {name: value for name, value in outcome.fields.items() if name.startswith('planner.')}


def _figures(outcome: Outcome) -> dict[str, Any]:
    tables = {name: outcome.tables[name] for name in _COLUMNS}
    return {
        name: np.round(table.mean(axis=1), 5).tolist()
        for name, table in tables.items()
        if not np.isnan(table).all()
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table for each task and horizon."""
    parts = []
    for name in dict.fromkeys(row['entry'] for row in rows):
        own = [row for row in rows if row['entry'] == name]
        first = own[0]
        title = f'**{first["task"]}, H={first["horizon"]}**: {len(first["seeds"])} seeds from '
        title += f'{first["seeds"][0]} on, {first["episodes"]} episodes each'
        lines = [' | '.join(['', *_HEAD, '']).strip(), '|' + '---|' * len(_HEAD)]
        lines += [' | '.join(['', *_cells(row), '']).strip() for row in own]
        parts.append(title + '\n\n' + '\n'.join(lines))
    return '\n\n'.join(parts) + '\n'


def _cells(row: dict[str, Any]) -> list[str]:
    returns = np.array(row['return'])
    digits = 0 if np.abs(returns).mean() > 20 else 1
    successes = ', '.join(
        describe_mean(np.array(row[name]), 2, row['episodes']) for name in SUCCESSES if name in row
    )
    chosen = ', '.join(f'{k.removeprefix("planner.")} {v:.3g}' for k, v in row['chosen'].items())
    change = f'{np.mean(row["action_change"]):.3f}' if 'action_change' in row else ''
    label = row['combination'].replace('_', ' ')
    time = f'{row["plan_milliseconds"]:.2f}' if 'plan_milliseconds' in row else ''
    return [label, describe_mean(returns, digits), successes, change, time, chosen]
