"""The headline rows as a table in Markdown."""

from collections.abc import Sequence
from typing import Any

from mpq_jax.config.labels import agent_label
from mpq_jax.environments.episode import SUCCESSES

_HEAD = (
    '| task | agent | training: success at any step, at the end, share of time | last quarter | '
    'of the episodes that do not succeed by themselves | test: any step, at the end, share of time '
    '| paper: training, test |'
)
_RETURNS = '| task | agent | return, all episodes | last quarter | paper |'


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Two tables: tasks with returns alone, and tasks with successes."""
    rows = [row | {'noise_shown': _noise(row, rows)} for row in rows]
    successes = [row for row in rows if 'success' in row['training']]
    returns = [row for row in rows if 'success' not in row['training']]
    parts = []
    if returns:
        parts.append('\n'.join([_RETURNS, _rule(_RETURNS), *map(_return_row, returns)]))
    if successes:
        parts.append('\n'.join([_HEAD, _rule(_HEAD), *map(_success_row, successes)]))
    return '\n\n'.join(parts) + '\n'


_SUMMARY = (
    "| task | no control | MPPI, its own λ | MPPI, the paper's λ | SoftQ, its own λ | MPQ | "
    'MPQ in the paper |'
)


def summary(rows: Sequence[dict[str, Any]]) -> str:
    """One line a task and noise, as the README has it: all training episodes.

    MPPI at MPQ's horizon, and at the long one where that was run.
    """
    lines = [_SUMMARY, _rule(_SUMMARY)]
    for task in dict.fromkeys(row['task'] for row in rows):
        of_task = [row for row in rows if row['task'] == task]
        shown = {row['agent']: row for row in reversed(of_task)}
        mpq = [row for row in of_task if row['agent'] == 'mpq']
        for one in mpq:
            cells = [_brief(shown['none']), *_mppi(of_task, one), _brief(shown['softq'])]
            sizes = f'{len(one["seeds"])} seeds x {one["episodes"]}, H={one["planner.horizon"]}'
            name = f'{task}, {sizes}' if one is mpq[0] else f'{task}, white noise as in the paper'
            lines.append('| ' + ' | '.join([name, *cells, _brief(one), _paper(one)]) + ' |')
    return '\n'.join(lines) + '\n'


def _mppi(rows: Sequence[dict[str, Any]], mpq: dict[str, Any]) -> list[str]:
    """With MPQ's noise, at its horizon and longer: its own temperature, the paper's."""
    found = [
        row
        for row in rows
        if row['agent'] == 'mppi' and row.get('noise', 'white') == mpq.get('noise', 'white')
    ]
    own = found[0]['temperature']

    def cell(chosen: list[dict[str, Any]]) -> str:
        longer = [f'; H={r["planner.horizon"]}: {_brief(r)}' for r in chosen[1:]]
        return ''.join([_brief(chosen[0]), *longer])

    paper = [row for row in found if row['temperature'] != own]
    return [
        cell([row for row in found if row['temperature'] == own]),
        cell(paper) if paper else 'the same',
    ]


def _brief(row: dict[str, Any]) -> str:
    worse = ' †' if row.get('better') is False else ''
    if 'success' not in row['training']:
        return _figure(row['training']['return'], 0) + worse
    return _three(row['training']) + worse


def _paper(row: dict[str, Any]) -> str:
    value = row['paper']['training']
    return '' if value is None else f'{value:.{2 if "success" in row["training"] else 0}f}'


def _rule(head: str) -> str:
    return '|' + '---|' * (head.count('|') - 1)


def _return_row(row: dict[str, Any]) -> str:
    figures = [_figure(row[part]['return'], 0) for part in ('training', 'last_quarter')]
    paper = row['paper']['training']
    return _line(row, [*figures, '' if paper is None else f'{paper:.0f}'])


def _success_row(row: dict[str, Any]) -> str:
    test, paper = row['test'], row['paper']
    published = [paper[part] for part in ('training', 'test')]
    known = ['-' if value is None else f'{value:.2f}' for value in published]
    return _line(
        row,
        [
            _three(row['training']),
            _figure(row['last_quarter']['success'], 2),
            _figure(row.get('not_by_itself'), 2),
            _three(test) if test else '',
            '' if published == [None, None] else ', '.join(known),
        ],
    )


def _line(row: dict[str, Any], cells: list[str]) -> str:
    agent = agent_label(row)
    if row['agent'] != 'none':
        agent += f', λ={row["temperature"]:g}'
        agent += row['noise_shown']
    if row.get('better') is False:
        agent += ' (not better than no control)'
    task = f'{row["task"]}, {len(row["seeds"])} seeds x {row["episodes"]}'
    return '| ' + ' | '.join([task, agent, *cells]) + ' |'


def _noise(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """Of plans of more than one action, where a task's rows have several noises."""
    planned = [r for r in rows if r['task'] == row['task'] and r['agent'] in ('mppi', 'mpq')]
    if row not in planned or {r.get('noise', 'white') for r in planned} == {'white'}:
        return ''
    return ', white noise' if row['noise'] == 'white' else f', {row["noise"]}'


def _three(figures: dict[str, Any]) -> str:
    first, *others = (figures[name] for name in SUCCESSES)
    return ', '.join([_figure(first, 2), *(f'{other["mean"]:.2f}' for other in others)])


def _figure(figure: dict[str, Any] | None, digits: int) -> str:
    """A mean with its interval, or with its few seeds."""
    if figure is None or figure['mean'] is None:
        return ''
    text = f'{figure["mean"]:.{digits}f}'
    if figure['low'] is not None:
        return f'{text} [{figure["low"]:.{digits}f}, {figure["high"]:.{digits}f}]'
    return f'{text} ({", ".join(f"{seed:.{digits}f}" for seed in figure["seeds"])})'
