"""A report as one HTML page that needs nothing else and asks nobody for anything."""

import base64
import hashlib
import importlib.resources
import string
from collections.abc import Iterable
from html import escape

from mpq_jax.base.validation import RunError
from mpq_jax.report.content import Cell, Interval, Medium, Report, Table
from mpq_jax.report.curves import chart, to_json

_TYPES = {
    '.png': 'image/png',
    '.gif': 'image/gif',
    '.mp4': 'video/mp4',
    '.webm': 'video/webm',
}


def render(report: Report) -> str:
    """The page as text."""
    script = ''.join(_asset(f'{name}.js') for name in ('basics', 'chart', 'tables'))
    style = _asset('report.css')
    data = chart(report.curves)
    sections = [
        ('results', 'Results', _tables(report.results[:1])),
        ('curves', 'Learning curves', _asset('chart.html') if data['measures'] else ''),
        ('figures', 'Plots', ''.join(map(_figure, report.figures))),
        ('replays', 'Replays', ''.join(map(_figure, report.replays))),
        ('details', 'Details', _tables(report.results[1:])),
        ('settings', 'Configuration', _tables(report.settings)),
        ('versions', 'Versions', _tables(report.versions)),
    ]
    shown = [section for section in sections if section[2]]
    return string.Template(_asset('template.html')).substitute(
        title=escape(report.title),
        facts=''.join(
            f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>'
            for name, value in report.facts.items()
        ),
        problems=_problems(report.problems),
        contents=''.join(f'<a href="#{key}">{heading}</a>' for key, heading, _ in shown),
        sections=''.join(
            f'<section id="{key}"><h2>{heading}</h2><div class="{key}">{body}</div></section>\n'
            for key, heading, body in shown
        ),
        data=to_json(data),
        script=script,
        style=style,
        script_hash=_hash(script),
        style_hash=_hash(style),
    )


def format_number(value: float) -> str:
    """Four digits or so, thousands apart."""
    if isinstance(value, int) or abs(value) >= 10_000:
        text = f'{value:,.0f}'.replace(',', '\N{NARROW NO-BREAK SPACE}')
    elif value == 0 or abs(value) >= 0.001:
        text = f'{value:.4g}' if abs(value) < 1000 else f'{value:.0f}'
    else:
        text = f'{value:.2e}'
    return text.replace('-', '\N{MINUS SIGN}')


def _tables(tables: Iterable[Table]) -> str:
    return ''.join(_table(table) for table in tables if table.rows)


def _table(table: Table) -> str:
    columns = list(zip(*table.rows, strict=True))
    numeric = [all(not isinstance(cell, str) for cell in cells) for cells in columns]
    head = ''.join(
        f'<th scope="col" aria-sort="none"{_class(number)}>'
        f'<button type="button">{escape(name)}</button></th>'
        for name, number in zip(table.columns, numeric, strict=True)
    )
    body = ''.join(
        f'<tr{" class=marked" if i in table.marked else ""}>'
        + ''.join(_cell(cell, number) for cell, number in zip(row, numeric, strict=True))
        + '</tr>'
        for i, row in enumerate(table.rows)
    )
    only = (
        '<label class="only"><input type="checkbox"> only what is highlighted</label>'
        if table.marked
        else ''
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ''
    return (
        f'<div class="table"><h3>{escape(table.title)}</h3>{only}<div class="scroll" tabindex="0">'
        f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>{note}</div>'
    )


def _cell(cell: Cell, numeric: bool) -> str:
    value = cell.mean if isinstance(cell, Interval) else cell
    if value is None:
        return f'<td{_class(numeric)} data-value="">\N{EN DASH}</td>'
    if isinstance(value, str):
        return f'<td data-value="{escape(value)}">{escape(value)}</td>'
    text = format_number(value)
    if isinstance(cell, Interval):
        text += _over_seeds(cell)
    return f'<td class="number" data-value="{value:.9g}">{text}</td>'


def _over_seeds(figure: Interval) -> str:
    """The interval of a mean, or the seeds where there is none."""
    if figure.low is not None and figure.high is not None:
        text = f'[{format_number(figure.low)}, {format_number(figure.high)}]'
    elif len(figure.seeds) > 1:
        text = f'({", ".join(map(format_number, figure.seeds))})'
    else:
        return ''
    return f' <span class="interval">{text}</span>'


def _class(numeric: bool) -> str:
    return ' class="number"' if numeric else ''


def _problems(problems: list[str]) -> str:
    if not problems:
        return ''
    items = ''.join(f'<li>{escape(problem)}</li>' for problem in dict.fromkeys(problems))
    return f'<aside class="problems"><h2>Incomplete</h2><ul>{items}</ul></aside>'


def _figure(medium: Medium) -> str:
    kind, caption = _TYPES[medium.path.suffix.lower()], escape(medium.caption)
    try:
        source = f'data:{kind};base64,{base64.b64encode(medium.path.read_bytes()).decode()}'
    except OSError as error:
        raise RunError(f'{medium.path} cannot be read: {error}') from error
    if kind.startswith('video'):
        element = f'<video src="{source}" aria-label="{caption}" controls loop muted></video>'
    else:
        element = f'<img src="{source}" alt="{caption}">'
    return f'<figure>{element}<figcaption>{caption}</figcaption></figure>'


def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath('assets', name).read_text('utf-8')


def _hash(text: str) -> str:
    """What the page's content security policy lets run."""
    return 'sha256-' + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
