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
    """One line a task, as the README has it: all training episodes, MPPI at MPQ's horizon."""
    lines = [_SUMMARY, _rule(_SUMMARY)]
    for task in dict.fromkeys(row['task'] for row in rows):
        of_task = [row for row in rows if row['task'] == task]
        mpq = next(row for row in of_task if row['agent'] == 'mpq')
        horizon = mpq['planner.horizon']
        mppi = [
            row for row in of_task if row['agent'] == 'mppi' and row['planner.horizon'] == horizon
        ]
        shown = {row['agent']: row for row in reversed(of_task)} | {'mppi': mppi[0]}
        cells = [_brief(shown['none']), _brief(mppi[0])]
        with_table_3 = [row for row in mppi if row['temperature'] != mppi[0]['temperature']]
        cells.append(_brief(with_table_3[0]) if with_table_3 else 'the same')
        cells += [_brief(shown['softq']), _brief(mpq), _paper(mpq)]
        sizes = f'{len(mpq["seeds"])} seeds x {mpq["episodes"]}, H={horizon}'
        lines.append('| ' + ' | '.join([f'{task}, {sizes}', *cells]) + ' |')
    return '\n'.join(lines) + '\n'


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
        agent += '' if row.get('noise', 'white') == 'white' else f', {row["noise"]}'
    if row.get('better') is False:
        agent += ' (not better than no control)'
    task = f'{row["task"]}, {len(row["seeds"])} seeds x {row["episodes"]}'
    return '| ' + ' | '.join([task, agent, *cells]) + ' |'


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
