"""An agent beside its baselines: running them, the closing table, the learning curve."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import mpq_jax
from mpq_jax import published
from mpq_jax.base.statistics import against, describe_mean
from mpq_jax.base.validation import RunError
from mpq_jax.config import Batch, Config
from mpq_jax.config.labels import agent_label, field_label, is_no_control
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.figures import plots
from mpq_jax.runs.metrics import iterate_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.runs.tables import last_quarter, tabulate
from mpq_jax.suite import presets
from mpq_jax.tasks import load_task

_NO_CONTROL = 'no_control'  # its directory among the baselines


class Entry(NamedTuple):
    """A run, or one variant of it, in the closing table."""

    label: str
    seeds: list[int]
    columns: dict[str, np.ndarray]  # `[S, E]`
    no_control: bool


def baselines(runs: Config | Batch) -> dict[str, Batch]:
    """What a run is held against, by directory: same seeds, starts and models.

    No control, where there are successes or baselines are asked for; then plain MPPI at the same
    and the long horizon too. None on real systems of one's own: they are not driven for that.

    Raises:
      ConfigError: one that could not run.
    """
    batch = Batch.of(runs)
    config = batch.config
    asked = config.training.baselines and config.learns
    found: dict[str, Batch] = {}
    # Nothing is left that could vary without control, nor are another planner's variants MPPI's.
    variants = batch.variants if config.planner.name == 'mppi' else ()
    if config.real_system != 'own' and config.agent != 'none':
        if asked or load_task(config.task).success is not None:
            found[_NO_CONTROL] = Batch(presets.no_control(config))
        for long in (False, True) if asked else ():
            baseline = mpq_jax.baseline(config, long=long)
            found[f'mppi_h{baseline.planner.horizon}'] = Batch(baseline, variants)
    return {name: baseline.validate() for name, baseline in found.items()}


def run_baselines(runs: Config | Batch, run: RunDirectory, console: Console) -> None:
    """Trains them below the run's `baselines/`, but for what an earlier call finished."""
    for name, baseline in baselines(runs).items():
        path = run.baselines / name
        started = (path / 'config.json').exists()
        mpq_jax.train(baseline, path, resume=started, console=console)


def finish(config: Config, run: RunDirectory, console: Console) -> None:
    """Prints the closing table, draws `learning_curve.png`, says where the files are."""
    baselines = sorted(run.baselines.glob('mppi_h*'), key=_by_horizon)
    paths = [run.path, run.baselines / _NO_CONTROL, *baselines]
    entries = [entry for path in paths for entry in _entries(RunDirectory(path))]
    measures = ('return',) if load_task(config.task).success is None else SUCCESSES
    console.print(_table(config.task, entries, measures))
    curves = labelled(published.training_curves(load_task(config.task).name))
    title = f'{agent_label(config)} on {config.task}, {config.planner_model} planner model'
    tables = {entry.label: entry.columns[measures[0]] for entry in entries}
    plots.learning_curve(tables, run.path / 'learning_curve.png', title, curves, measures[0])
    shown = sorted(p.name + ('/' if p.is_dir() else '') for p in run.path.iterdir())
    console.print(f'{run.path}: {", ".join(shown)}', markup=False)


def _entries(run: RunDirectory) -> list[Entry]:
    """One a variant; none of a run that has not begun."""
    try:
        batch = run.read_batch()
        names = ('return', *SUCCESSES, 'model_steps', 'env_steps', 'own_return')
        tables = tabulate(iterate_rows(run.metrics_file), names=names)
    except RunError:
        return []
    entries, config = [], batch.config
    for variant, found in tables.by_first().items():
        own = batch.variants[variant] if batch.variants else {}
        label = ', '.join([agent_label(config), *([field_label(own)] if own else [])])
        label += _idle(run, variant)
        nothing = is_no_control({'agent': config.agent})
        entries.append(Entry(label, found.seeds, found.columns, nothing))
    return entries


def _idle(run: RunDirectory, variant: int) -> str:
    """' (seed 3 took no control step)', of members of which there is nothing to tell."""
    idle = [
        each for each in run.read_manifest().get('idle_members', []) if each['variant'] == variant
    ]
    said = [f'seed {each["seed"]} {each["reason"]}' for each in idle]
    return f' ({", ".join(said)})' if said else ''


def _table(task: str, entries: list[Entry], measures: tuple[str, ...]) -> Table:
    """A row an entry: figures over its seeds, and whether it is better than no control."""
    measure, digits = measures[0], 0 if measures[0] == 'return' else 2
    counts = [len(entry.seeds) for entry in entries]
    number = f', {counts[0]} seeds' if len(set(counts)) == 1 else ''
    headings = [f'{part}{number}' for part in ('all episodes', 'last quarter')]
    if measure == 'success':
        headings += [f'at the end{number}', f'share of time{number}']
    ends = load_task(task).terminated is not None  # then lengths tell as much as returns
    headings += [f'control steps an episode{number}'] * ends
    paid = [np.isfinite(entry.columns['own_return']) for entry in entries]
    pays = any(each.any() for each in paid)
    # By what the environment pays, where all know it: not to have fallen yet is success too.
    judged = 'own_return' if all(each.all() for each in paid) else measure
    references = [_by_seed(entry, judged) for entry in entries if entry.no_control]
    headings += [f"environment's own return{number}"] * pays
    headings = [*([] if number else ['seeds']), *headings, 'model steps a seed']
    of = 'own return ' if judged == 'own_return' else ''
    headings += [f'{of}against no control'] * bool(references)
    table = Table(title=f'{task}: {measure}, mean [95 % interval] or mean (each seed)')
    table.add_column('agent', no_wrap=True)
    for heading in headings:
        table.add_column(heading, justify='right')
    for entry, count in zip(entries, counts, strict=True):
        all_episodes, *others = (entry.columns[name] for name in measures)
        parts = [all_episodes, last_quarter(all_episodes), *others]
        cells = [] if number else [str(count)]
        cells += [_described(part, measure, digits) for part in parts]
        if ends:
            steps = entry.columns['env_steps']
            cells.append(describe_mean(steps[:, -1] / steps.shape[1], 1))
        if pays:
            cells.append(describe_mean(entry.columns['own_return'].mean(axis=1)))
        cells.append(f'{np.nanmean(entry.columns["model_steps"][:, -1]):,.0f}')
        if references:
            own = _by_seed(entry, judged)
            cells.append('' if entry.no_control else against(own, references[0]))
        table.add_row(entry.label, *cells)
    return table


def _described(table: np.ndarray, measure: str, digits: int) -> str:
    episodes = None if measure == 'return' else table.shape[1]
    return describe_mean(table.mean(axis=1), digits, episodes)


def _by_seed(entry: Entry, measure: str) -> dict[int, float]:
    means = entry.columns[measure].mean(axis=1)
    return dict(zip(entry.seeds, means.tolist(), strict=True))


def _by_horizon(path: Path) -> int:
    return int(path.name.rpartition('_h')[2])


def labelled(curves: dict[tuple[str, int, str], np.ndarray]) -> dict[str, np.ndarray]:
    """The paper's curves under the labels that ours have."""
    names = ('agent', 'planner.horizon', 'planner_model')
    return {agent_label(dict(zip(names, k, strict=True))): curve for k, curve in curves.items()}
