"""A run directory, its baselines beside it, as a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpq_jax.config import AGENT_NAMES
from mpq_jax.report import files, tables
from mpq_jax.report.content import Curve, Report

# What would tell every run apart without saying what differs.
_NOT_FIELDS = ('seed', 'num_seeds', 'episodes', 'training.')

_FACTS = {'seeds': 'num_seeds', 'episodes': 'episodes'}


def read(directory: Path) -> Report:
    """The run, and every run in its baselines/ as a further configuration.

    Raises:
      RunError: a config.json that is no JSON object, or rows of metrics without seed or episode.
    """
    problems: list[str] = []
    baselines = directory / 'baselines'
    found = sorted(baselines.iterdir()) if baselines.is_dir() else []
    paths = [directory, *(path for path in found if (path / 'config.json').is_file())]
    configs = [files.flatten(files.read_object(path / 'config.json')) for path in paths]
    labels = _labels(configs, paths)
    named = dict(zip(labels, paths, strict=True))
    differing = _differing(configs)
    curves = []
    for label, path, config in zip(labels, paths, configs, strict=True):
        fields = {name: files.text_of(config.get(name)) for name in differing}
        curve = read_curve(label, fields, path, problems)
        if curve is not None:
            _check_complete(curve, config, problems)
            curves.append(curve)
    manifest = files.read_optional(directory / 'manifest.json', problems)
    config = configs[0]
    report = Report(
        title=f'{config.get("task", "run")}: {labels[0]}',
        facts={k: files.text_of(config.get(v)) for k, v in _FACTS.items()} | facts(manifest),
        problems=problems,
        curves=curves,
        figures=[medium for p in named.items() for medium in _media(p, files.FIGURES, directory)],
        replays=[medium for p in named.items() for medium in _media(p, files.REPLAYS, directory)],
        settings=[tables.settings(files.read_object(directory / 'config.json'), {})],
        versions=tables.versions(manifest),
    )
    if curves:
        report.results += [tables.configurations(curves), tables.seeds(curves)]
    report.results.append(tables.evaluations(named, problems))
    return report


def read_curve(label: str, fields: dict[str, str], path: Path, problems: list[str]) -> Curve | None:
    """The metrics of a run; None, and a problem noted, where there are none."""
    rows = files.read_csv(path / 'metrics.csv', problems)
    if not rows:
        problems.append(f'{label}: no episodes yet')
        return None
    seeds, columns = files.tabulate(rows)
    return Curve(label, fields, seeds, columns)


def facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The line below the title."""
    names = {'date': 'date', 'device': 'device', 'git_revision': 'revision'}
    shown = {names[k]: files.text_of(manifest[k]) for k in names if manifest.get(k)}
    return {k: v[:10] if k in ('date', 'revision') else v for k, v in shown.items()}


def _labels(configs: list[dict[str, Any]], paths: list[Path]) -> list[str]:
    """As the learning curve's legend has them; the directory's name where that is not enough."""
    labels = []
    for config, path in zip(configs, paths, strict=True):
        model = '' if config.get('planner_model', 'biased') == 'biased' else ', true model'
        agent = AGENT_NAMES.get(str(config.get('agent')), 'agent')
        label = f'{agent} H={files.text_of(config.get("planner.horizon"))}{model}'
        labels.append(f'{label} ({path.name})' if label in labels else label)
    return labels


def _differing(configs: list[dict[str, Any]]) -> list[str]:
    names = dict.fromkeys(name for config in configs for name in config)
    return [
        name
        for name in names
        if not name.startswith(_NOT_FIELDS)
        and len({files.text_of(config.get(name)) for config in configs}) > 1
    ]


def _check_complete(curve: Curve, config: Mapping[str, Any], problems: list[str]) -> None:
    asked = config.get('episodes')
    reached = max(table.shape[1] for table in curve.columns.values()) if curve.columns else 0
    if isinstance(asked, int) and reached < asked:
        problems.append(f'{curve.label}: {reached} of {asked} episodes so far')


def _media(named: tuple[str, Path], suffixes: tuple[str, ...], run: Path):
    label, path = named
    return files.media(path, suffixes, '' if path == run else label)
