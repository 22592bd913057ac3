"""A sweep directory as a report, as far as the sweep has come."""

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mpq_jax.base.validation import RunError
from mpq_jax.config.labels import is_no_control
from mpq_jax.report import files, runs, tables
from mpq_jax.report.content import Cell, Curve, Report, Table
from mpq_jax.runs.tables import MemberTables

# Figure of the summary -> its heading.
_FIGURES = {
    'final': '{}, last quarter',
    'auc': '{}, all episodes',
    'final_success_at_end': 'success at the end, last quarter',
    'auc_success_at_end': 'success at the end, all episodes',
    'final_success_share': 'success, share of time, last quarter',
    'auc_success_share': 'success, share of time, all episodes',
}
_DEFINED = {'final': 'final', 'auc': 'auc', 'interval': 'brackets'}


def read(directory: Path) -> Report:
    """What the sweep has so far; `problems` says what is missing.

    Raises:
      RunError: a sweep.json that is no JSON object, or rows of metrics without seed or episode.
    """
    sweep = files.read_object(directory / 'sweep.json')
    problems: list[str] = []
    swept = {k: v for k, v in _object(sweep.get('swept')).items() if isinstance(v, list)}
    fixed = _object(sweep.get('fixed'))
    cells = _cells(sweep, directory)
    summary = files.read_optional(directory / 'summary.json', problems)
    curves = _curves(directory, swept, cells, problems)
    described = _table(summary, swept)
    if not described.rows:
        problems.append('There is no summary yet: the table below is of the episodes so far.')
    labels = _labels(summary)
    for curve in curves:
        curve.label = labels.get(_label(curve.fields), curve.label)
    problems += _missing(sweep, curves, cells)
    manifest = files.read_optional(directory / 'manifest.json', problems)
    named = [str(fixed[k]) for k in ('task', 'agent') if k in fixed and k not in swept]
    report = Report(
        title=f'{", ".join(named)}: sweep of {", ".join(swept) or "nothing"}',
        facts={
            'configurations': str(len(_grid(cells)) or len(curves)),
            'seeds': str(len(_list(sweep.get('seeds')))),
            'episodes': files.text_of(sweep.get('episodes')),
        }
        | runs.facts(manifest),
        problems=problems,
        curves=curves,
        figures=files.media(directory, files.FIGURES, problems),
        replays=files.media(directory, files.REPLAYS, problems),
        settings=_settings(sweep, swept, cells, problems),
        versions=tables.versions(manifest),
    )
    report.results.append(described if described.rows else tables.configurations(curves))
    report.results.append(tables.seeds(curves))
    existing = {name: path for name, (path, _) in cells.items() if path.is_dir()}
    report.results.append(tables.evaluations(existing, problems))
    for name, path in existing.items():
        figures = files.media(path, files.FIGURES, problems, name)
        report.figures += [m for m in figures if m.path.stem == 'episode']
        report.replays += files.media(path, files.REPLAYS, problems, name)
    return report


def _cells(sweep: Mapping[str, Any], directory: Path) -> dict[str, tuple[Path, dict[str, Any]]]:
    """Name -> (directory, the cell of sweep.json). Nothing outside the sweep is looked at."""
    cells = {}
    for cell in _list(sweep.get('cells')):
        name = str(_object(cell).get('directory', ''))
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
            raise RunError(f'{directory / "sweep.json"}: cell {name!r} lies outside the sweep')
        cells[path.name] = (path, cell)
    return cells


def _grid(cells: Mapping[str, tuple[Path, dict[str, Any]]]) -> list[dict[str, str]]:
    """The configurations that the sweep is to have, each once, by field as text."""
    grid = []
    for _, cell in cells.values():
        for fields in _list(cell.get('configurations')):
            texts = {name: files.text_of(value) for name, value in _object(fields).items()}
            if texts not in grid:
                grid.append(texts)
    return grid


def _curves(
    directory: Path,
    swept: Mapping[str, list],
    cells: Mapping[str, tuple[Path, dict[str, Any]]],
    problems: list[str],
) -> list[Curve]:
    """One a configuration of sweep.csv; before there is one, of the cells."""
    if not (directory / 'sweep.csv').exists():
        problems.append('There is no sweep.csv yet: curves are of the cells with metrics so far.')
        return _curves_of_cells(cells)
    rows = files.read_csv(directory / 'sweep.csv', problems)
    spelled = {name: {_key(v): files.text_of(v) for v in values} for name, values in swept.items()}
    fields_of: dict[str, dict[str, str]] = {}

    def metrics() -> Iterator[dict[str, str]]:
        """The rows without the swept fields, which are noted."""
        for row in rows:
            texts = {name: row.pop(name, '') for name in swept}
            fields = {name: spelled[name].get(_key(text), text) for name, text in texts.items()}
            fields_of.setdefault(row.get('configuration', ''), fields)
            yield row

    found = files.tabulate_finite(metrics(), by=('configuration', 'seed'))
    by_number = {int(text): fields for text, fields in fields_of.items()}
    return [_curve(by_number[i], table) for i, table in found.items()]


def _curves_of_cells(cells: Mapping[str, tuple[Path, dict[str, Any]]]) -> list[Curve]:
    rows: dict[str, list[Iterator[dict[str, str]]]] = {}
    for path, cell in cells.values():
        if (path / 'metrics.csv').exists():
            for variant, fields in enumerate(_list(cell.get('configurations'))):
                texts = {k: files.text_of(v) for k, v in _object(fields).items()}
                own = _of_variant(files.read_csv(path / 'metrics.csv', []), variant)
                rows.setdefault(json.dumps(texts), []).append(own)
    curves = []
    for key, parts in rows.items():
        for table in files.tabulate_finite(itertools.chain(*parts)).values():
            curves.append(_curve(json.loads(key), table))
    return curves


def _of_variant(rows: Iterable[dict[str, str]], variant: int) -> Iterator[dict[str, str]]:
    """As rows of a run without variants."""
    for row in rows:
        if (row.get('variant') or '0') == str(variant):
            yield row | {'variant': '0'}


def _curve(fields: dict[str, str], table: MemberTables) -> Curve:
    return Curve(_label(fields), fields, table.seeds, table.columns, is_no_control(fields))


def _table(summary: Mapping[str, Any], swept: Mapping[str, list]) -> Table:
    """The summary's configurations."""
    measure = str(summary.get('measure', 'return'))
    configurations = [_object(each) for each in _list(summary.get('configurations'))]
    number, column = tables.seeds_heading([len(_list(c.get('seeds'))) for c in configurations])
    lengths = len({c.get('episodes') for c in configurations}) > 1  # else beside the title
    table = Table('Configurations', ['configuration', *(swept if len(swept) > 1 else ())], [])
    table.columns += column + ['episodes'] * lengths
    figures = [name for name in _FIGURES if any(name in c for c in configurations)]
    for name in figures:
        table.columns += [f'{_FIGURES[name].format(measure)}{number}', 'IQM']
    table.columns += ['model steps a seed', 'seconds']
    for configuration in configurations:
        fields = _object(configuration.get('fields'))
        row: list[Cell] = [str(configuration.get('label', _label(fields)))]
        if len(swept) > 1:
            row += [_cell(fields.get(name)) for name in swept]
        row += [len(_list(configuration.get('seeds')))] if column else []
        row += [_cell(configuration.get('episodes'))] if lengths else []
        for name in figures:
            row += _mean_and_iqm(configuration.get(name))
        row += [_cell(configuration.get(name)) for name in ('model_steps', 'wall_seconds')]
        table.rows.append(row)
    definition = _object(summary.get('definition'))
    texts = [f'{word}: {definition[key]}' for key, word in _DEFINED.items() if key in definition]
    table.note = '; '.join(texts)
    return table


def _mean_and_iqm(figure: Any) -> list[Cell]:
    """The interval stands beside what it is of: in older summaries the interquartile mean."""
    mean, iqm = tables.interval(figure), tables.interval(figure, 'iqm')
    return [mean, iqm.mean] if 'per_seed' in _object(figure) else [mean.mean, iqm]


def _labels(summary: Mapping[str, Any]) -> dict[str, str]:
    """Fields in words -> the summary's label."""
    configurations = [_object(each) for each in _list(summary.get('configurations'))]
    return {
        _label(_object(each.get('fields'))): str(each['label'])
        for each in configurations
        if 'label' in each
    }


def _missing(sweep: Mapping[str, Any], curves: list[Curve], cells: Mapping[str, Any]) -> list[str]:
    """Cells, configurations, seeds and episodes that are not there."""
    said = [f'{name}: not started' for name, (path, _) in cells.items() if not path.is_dir()]
    found = [curve.fields for curve in curves]
    said += [f'{_label(fields)}: no episodes yet' for fields in _grid(cells) if fields not in found]
    asked = sweep.get('episodes')
    for curve in curves:
        absent = [str(s) for s in _list(sweep.get('seeds')) if s not in curve.seeds]
        if absent:
            said.append(f'{curve.label}: nothing yet of seeds {", ".join(absent)}')
        counts = [tables.episodes(curve, i) for i in range(len(curve.seeds))]
        if isinstance(asked, int) and min(counts, default=asked) < asked:
            said.append(f'{curve.label}: {min(counts)} of {asked} episodes so far')
    return said


def _settings(
    sweep: Mapping[str, Any],
    swept: Mapping[str, list],
    cells: Mapping[str, tuple[Path, dict[str, Any]]],
    problems: list[str],
) -> list[Table]:
    """The sweep's own terms, and every field of its first cell with a config."""
    table = Table('The sweep', ['entry', 'value'], [])
    fixed = _object(sweep.get('fixed'))
    table.rows += [[k, files.text_of(v)] for k, v in fixed.items() if k not in swept]
    table.rows += [[k, ', '.join(map(files.text_of, v))] for k, v in swept.items()]
    table.rows += [[name, files.text_of(sweep.get(name))] for name in ('seeds', 'episodes')]
    configs = (files.read_optional(path / 'config.json', problems) for path, _ in cells.values())
    config = next((config for config in configs if config), {})
    return [table, *([tables.settings(config, swept)] if config else [])]


def _label(fields: Mapping[str, Any]) -> str:
    return ', '.join(f'{name}={files.text_of(value)}' for name, value in fields.items())


def _key(value: Any) -> Any:
    """Equal for 1, 1.0 and '1', as a CSV spells them."""
    try:
        return str(value).lower() if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return str(value).lower()


def _cell(value: Any) -> Cell:
    return value if value is None or isinstance(value, int | float) else files.text_of(value)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
