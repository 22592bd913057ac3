"""What came out in others' environments: a row an agent, beside published returns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from experiments import return_curves
from experiments.return_curves import with_those_before
from mpq_jax import published
from mpq_jax.base.files import write_atomically
from mpq_jax.base.statistics import INTERVAL, against, confidence_interval, describe_mean
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import manifest
from mpq_jax.runs.tables import last_quarter
from mpq_jax.sweep import SweepDirectory
from mpq_jax.sweep.results import Outcome, read_outcomes

_ROWS = {
    'none': 'no control', 'mppi_short': 'MPPI', 'mppi_long': 'MPPI', 'softq': 'SoftQ', 'mpq': 'MPQ'
}  # fmt: skip
_METHODS = {'tdmpc2': 'TD-MPC2', 'sac': 'SAC', 'dreamerv3': 'DreamerV3'}
_DEFINITIONS = {
    'own_return': "the environment's own, an episode's mean over all of them, one figure a seed",
    'last_quarter': 'the same over the last quarter of the episodes',
    'success_share': "share of the control steps in the task's success",
    'environment_steps': 'a seed, training alone: none of these agents is tested apart',
    'episodes': 'a seed; the fewest where each ended by its steps',
    'curve': 'steps are means over seeds; where each ended by its steps a list a seed, of means of '
    'several episodes at a time where there are more than 200',
    'seconds': 'of all seeds, without compiling, beside other work: not a benchmark',
    'interval': INTERVAL,
    'against_no_control, mpq_against_it': 'paired by seed, over all episodes',
}


def write(path: Path, entries: dict[str, Any], console: Console | None) -> None:
    """Writes `environments.json`, `.md` and `.png` below `path` from the sweeps there.

    Rows that an `environments.json` of before has stand where there is no sweep.
    """
    file = path / 'environments.json'
    rows = [row for name, entry in entries.items() for row in _rows(path / name, name, entry)]
    rows = with_those_before(file, rows, lambda row: (row['entry'], row['agent']))
    rows.sort(key=lambda row: (list(entries).index(row['entry']), _place(row)))
    for name in entries:
        _compare([row for row in rows if row['entry'] == name])
    content = {'definitions': _DEFINITIONS, 'made_by': manifest(), 'rows': rows}
    write_atomically(file, json.dumps(content, indent=1) + '\n')
    text = markdown(rows, entries)
    write_atomically(path / 'environments.md', text)
    if rows:
        _draw(rows, entries, path / 'environments.png')
    if console is not None:
        console.print(text, markup=False)


def _rows(path: Path, name: str, entry: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for row, label in _ROWS.items():
        # Of all seeds, or one a seed.
        found = [SweepDirectory(each) for each in (path / row, *sorted((path / row).glob('*')))]
        outcomes = [o for each in found if each.sweep_file.exists() for o in read_outcomes(each)]
        if outcomes:
            horizon = outcomes[0].fields.get('planner.horizon')
            agent = label + ('' if horizon is None else f' H={horizon}')
            rows.append({'entry': name, 'agent': agent, **_figures(outcomes, entry)})
    return rows


def _place(row: dict[str, Any]) -> tuple[int, int]:
    """Among the rows of an environment: by agent, then by horizon."""
    label, _, horizon = row['agent'].partition(' H=')
    return list(_ROWS.values()).index(label), int(horizon or 0)


def _compare(rows: list[dict[str, Any]]) -> None:
    """Sets what the rows of an environment say of each other."""
    idle, mpq = (_named(rows, agent) for agent in ('no control', 'MPQ'))
    for own in rows:
        if idle is not None and own is not idle:
            own['against_no_control'] = against(_by_seed(own), _by_seed(idle))
        if mpq is not None and own is not mpq:
            own['mpq_against_it'] = against(_by_seed(mpq), _by_seed(own))


def _named(rows: list[dict[str, Any]], agent: str) -> dict[str, Any] | None:
    return next((row for row in rows if row['agent'].startswith(agent)), None)


def _by_seed(row: dict[str, Any]) -> dict[int, float]:
    return dict(zip(row['seeds'], row['own_return'], strict=True))


def _figures(outcomes: list[Outcome], entry: Any) -> dict[str, Any]:
    seeds = [seed for outcome in outcomes for seed in outcome.seeds]
    tables = {
        column: [of_seed for outcome in outcomes for of_seed in outcome.tables[column]]
        for column in ('own_return', 'success_share', 'env_steps', 'model_steps')
    }  # a list of [E], which may differ
    returns = tables['own_return']
    steps = [entry.repeat * np.nan_to_num(own) for own in tables['env_steps']]
    figures = {
        'own_return': [own.mean() for own in returns],
        'last_quarter': [last_quarter(own).mean() for own in returns],
        'success_share': [own.mean() for own in tables['success_share']],
        'environment_steps': [own[-1] for own in steps],
        'model_steps': [own[-1] for own in tables['model_steps']],
    }
    rounded = {
        k: np.round(v, 3).tolist() for k, v in figures.items() if not np.isnan(v).all()
    }  # fmt: skip
    episodes = [len(own) for own in returns]
    alike = min(episodes) == max(episodes)
    ends: Any
    if alike:
        ends = np.round(np.mean(steps, axis=0)).tolist()
    else:  # perhaps thousands of episodes a seed
        returns = _in_parts(returns, np.mean)
        ends = [np.round(own).tolist() for own in _in_parts(steps, lambda own: own[-1])]
    return {
        'seeds': seeds,
        'episodes': min(episodes),
        'fields': outcomes[0].fields,
        **rounded,
        'seconds': round(sum(outcome.wall_seconds for outcome in outcomes), 1),
        'curve': {
            'environment_steps': ends,
            'own_return': [np.round(own, 2).tolist() for own in returns],
        },
    }


def _in_parts(columns: list[Any], of_part: Callable, most: int = 200) -> list[np.ndarray]:
    """Each column [E] as a figure of each of at most so many parts."""
    return [
        np.array([of_part(part) for part in np.array_split(own, min(most, len(own)))])
        for own in columns
    ]


def markdown(rows: list[dict[str, Any]], entries: dict[str, Any]) -> str:
    """A table for each task, the published returns below ours."""
    parts = []
    for name in dict.fromkeys(row['entry'] for row in rows):
        own = [row for row in rows if row['entry'] == name]
        lines = [
            f'**{name.replace("_", " ")}** (`{entries[name].real_system}`, {len(own[0]["seeds"])} '
            f'seeds from {own[0]["seeds"][0]} on)',
            '',
            '| agent | environment steps | own return | last quarter | in success | against no '
            'control | MPQ against it | model steps a seed | s |',
            '|' + '---|' * 9,
            *('| ' + ' | '.join(_cells(row)) + ' |' for row in own),
            *_published(entries[name].published),
        ]
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts) + '\n'


def _cells(row: dict[str, Any]) -> list[str]:
    share = np.array(row.get('success_share', [np.nan]))
    return [
        row['agent'],
        f'{np.mean(row["environment_steps"]):,.0f}',
        describe_mean(np.array(row['own_return'])),
        describe_mean(np.array(row['last_quarter'])),
        '' if np.isnan(share).any() else describe_mean(share, 2, row['episodes']),
        row.get('against_no_control', ''),
        row.get('mpq_against_it', ''),
        f'{np.mean(row["model_steps"]) / 1e6:.1f} M',
        f'{row["seconds"]:.0f}',
    ]


def _published(task: str) -> list[str]:
    """Rows of others' evaluations, at the first steps they report and at the last."""
    lines = []
    for method, by_steps in published.dm_control_returns(task).items():
        for steps in (min(s for s in by_steps if s > 0), max(by_steps)):
            returns = np.array(by_steps[steps])
            figure = describe_mean(returns)
            lines.append(f'| {_METHODS[method]}, published | {steps:,} | | {figure} | | | | | |')
    return lines


def _draw(rows: list[dict[str, Any]], entries: dict[str, Any], path: Path) -> None:
    """The environment's own return against its steps: means over seeds, 95 % intervals."""
    names = list(dict.fromkeys(row['entry'] for row in rows))
    figure = plots.new_figure(5.0 * len(names), 4.0)
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        for row in rows:
            if row['entry'] == name:
                _curve(axes, row)
        for method, by_steps in published.dm_control_returns(entries[name].published).items():
            steps = min(s for s in by_steps if s > 0)
            label = f'{_METHODS[method]} after {steps:,} steps'
            axes.axhline(float(np.mean(by_steps[steps])), ls=':', lw=1, label=label, color='grey')
        axes.set_title(f'{name.replace("_", " ")}: {entries[name].real_system}', fontsize=9)
        axes.set_xlabel('environment steps')
        axes.set_ylabel("environment's own return of an episode")
        axes.legend(fontsize=6, loc='upper center', bbox_to_anchor=(0.5, -0.13), ncol=3)
    plots.save(figure, path)


def _curve(axes: Any, row: dict[str, Any]) -> None:
    """Of many episodes the means of several at a time."""
    steps = row['curve']['environment_steps']
    if isinstance(steps[0], list):  # seeds apart
        own = zip(steps, row['curve']['own_return'], strict=True)
        seeds = [{'steps': at, 'returns': returns} for at, returns in own]
        return_curves.draw(axes, row['agent'], seeds, min(at[-1] for at in steps))
        return
    steps, returns = np.array(steps), np.array(row['curve']['own_return'])
    together = max(1, returns.shape[1] // 20)
    whole = returns.shape[1] // together * together
    returns = returns[:, :whole].reshape(len(returns), -1, together).mean(axis=2)
    steps = steps[:whole].reshape(-1, together)[:, -1]
    (line,) = axes.plot(steps, returns.mean(axis=0), label=row['agent'])
    if len(row['seeds']) >= 5:
        low, high = np.array([confidence_interval(column) for column in returns.T]).T
        axes.fill_between(steps, low, high, alpha=0.15, color=line.get_color())
