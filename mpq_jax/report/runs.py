"""A run directory, its baselines beside it, as a report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpq_jax.config.labels import agent_label, field_label, is_no_control
from mpq_jax.report import files, tables
from mpq_jax.report.content import Curve, Report

# What would tell every run apart without saying what differs.
_NOT_FIELDS = ('seed', 'num_seeds', 'episodes', 'training.')

_FACTS = {'seeds': 'num_seeds', 'episodes': 'episodes'}


def read(directory: Path) -> Report:
    """The run, and every run in its baselines/; each variant is a configuration of its own.

    Raises:
      RunError: a config.json that is no JSON object, or rows of metrics without seed or episode.
    """
    problems: list[str] = []
    found = files.own_directories(directory / 'baselines', problems)
    paths = [directory, *(path for path in found if (path / 'config.json').is_file())]
    configs = [files.flatten(files.read_object(path / 'config.json')) for path in paths]
    labels = _labels(configs, paths)
    named = dict(zip(labels, paths, strict=True))
    where = {path: '' if path == directory else label for label, path in named.items()}
    curves = [
        curve
        for label, path, config in zip(labels, paths, configs, strict=True)
        for curve in read_curves(label, config, path, problems)
    ]
    _keep_differing(curves)
    manifest = files.read_optional(directory / 'manifest.json', problems)
    config = configs[0]
    report = Report(
        title=f'{config.get("task", "run")}: {labels[0]}',
        facts={k: files.text_of(config.get(v)) for k, v in _FACTS.items()} | facts(manifest),
        problems=problems,
        curves=curves,
        figures=[m for p in paths for m in files.media(p, files.FIGURES, problems, where[p])],
        replays=[m for p in paths for m in files.media(p, files.REPLAYS, problems, where[p])],
        settings=[tables.settings(files.read_object(directory / 'config.json'), {})],
        versions=tables.versions(manifest),
    )
    if curves:
        report.results += [tables.configurations(curves), tables.seeds(curves)]
    report.results.append(tables.evaluations(named, problems))
    return report


def read_curves(
    label: str, config: Mapping[str, Any], path: Path, problems: list[str]
) -> list[Curve]:
    """The metrics of a run, one curve a variant; problems noted where there are none or few."""
    rows = files.read_csv(path / 'metrics.csv', problems)
    variants = _variants(config)
    curves = []
    for variant, found in files.tabulate_finite(rows).items():
        own = variants[variant] if variant < len(variants) else {'variant': variant}
        fields = {k: v for k, v in config.items() if k != 'variants'} | own
        name = ', '.join([label, *([field_label(own)] if own else [])])
        texts = {k: files.text_of(v) for k, v in fields.items()}
        curve = Curve(name, texts, found.seeds, found.columns, is_no_control(config))
        _check_complete(curve, config, problems)
        curves.append(curve)
    if not curves:
        problems.append(f'{label}: no episodes yet')
    return curves


def _variants(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The fields of each variant; one without fields where the run has none."""
    variants = config.get('variants')
    if not isinstance(variants, list) or not variants:
        return [{}]
    return [variant if isinstance(variant, dict) else {} for variant in variants]


def facts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The line below the title."""
    names = {'date': 'date', 'device': 'device', 'git_revision': 'revision'}
    shown = {names[k]: files.text_of(manifest[k]) for k in names if manifest.get(k)}
    return {k: v[:10] if k in ('date', 'revision') else v for k, v in shown.items()}


def _labels(configs: list[dict[str, Any]], paths: list[Path]) -> list[str]:
    """As the learning curve's legend has them; the directory's name where that is not enough."""
    labels: list[str] = []
    for config, path in zip(configs, paths, strict=True):
        label = agent_label(config)
        labels.append(f'{label} ({path.name})' if label in labels else label)
    return labels


def _keep_differing(curves: list[Curve]) -> None:
    """Of the curves' fields, those by which they can be told apart."""
    names = dict.fromkeys(name for curve in curves for name in curve.fields)
    told = [n for n in names if len({curve.fields.get(n, '') for curve in curves}) > 1]
    for curve in curves:
        kept = [name for name in told if not name.startswith(_NOT_FIELDS)]
        curve.fields = {name: curve.fields.get(name, '') for name in kept}


def _check_complete(curve: Curve, config: Mapping[str, Any], problems: list[str]) -> None:
    asked = config.get('episodes')
    reached = max(table.shape[1] for table in curve.columns.values()) if curve.columns else 0
    if isinstance(asked, int) and reached < asked:
        problems.append(f'{curve.label}: {reached} of {asked} episodes so far')
