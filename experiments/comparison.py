"""An agent beside plain MPPI: running the baselines, the closing table, the learning curve."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import mpq_jax
from experiments import published
from mpq_jax import plots
from mpq_jax.config import Config
from mpq_jax.metrics import read_table
from mpq_jax.run_directory import RunDirectory
from mpq_jax.statistics import describe_mean
from mpq_jax.tasks import load_task
from mpq_jax.validation import RunError


def label(config: Config) -> str:
    model = '' if config.planner_model == 'biased' else ', true model'
    return f'{config.agent.upper()} H={config.planner.horizon}{model}'


def run_baselines(config: Config, run: RunDirectory, console: Console) -> None:
    """Plain MPPI at the same and the long horizon: same seeds, start states and models.

    What an earlier, interrupted call finished is not run again.
    """
    for horizon_is_long in (False, True):
        baseline = mpq_jax.baseline(config, long=horizon_is_long)
        path = run.baselines / f'mppi_h{baseline.planner.horizon}'
        started = (path / 'config.json').exists()
        mpq_jax.train(baseline, path, resume=started, console=console)


def finish(config: Config, run: RunDirectory, console: Console) -> None:
    """Prints the closing table, draws `learning_curve.png`, says where the files are."""
    runs = [
        run,
        *(RunDirectory(path) for path in sorted(run.baselines.glob('mppi_h*'), key=_by_horizon)),
    ]
    tables: dict[str, np.ndarray] = {}
    late = config.episodes // 3
    table = Table(title=f'{config.task}: mean return [95 % interval over {config.num_seeds} seeds]')
    for heading in ('agent', 'all episodes', f'last {config.episodes - 2 * late}', 'model steps'):
        table.add_column(heading, justify='left' if heading == 'agent' else 'right')
    for each in runs:
        try:
            name, returns = label(each.read_config()), read_table(each.metrics_file, 'return')
            steps = np.nansum(read_table(each.metrics_file, 'model_steps')[:, -1])
        except RunError:
            continue
        tables[name] = returns
        table.add_row(
            name,
            describe_mean(returns.mean(axis=1)),
            describe_mean(returns[:, 2 * late :].mean(axis=1)),
            f'{steps:,.0f}',
        )
    console.print(table)
    _draw(config, run, tables)
    shown = sorted(p.name + ('/' if p.is_dir() else '') for p in run.path.iterdir())
    console.print(f'{run.path}: {", ".join(shown)}', markup=False)


def _by_horizon(path: Path) -> int:
    return int(path.name.rpartition('_h')[2])


def _draw(config: Config, run: RunDirectory, tables: dict[str, np.ndarray]) -> None:
    task = load_task(config.task)
    curves = published.training_curves(task.name) if task.success is None else {}
    shown = {}
    for name in tables:
        for (agent, horizon, model), curve in curves.items():
            if name == f'{agent.upper()} H={horizon}' + (', true model' if model == 'true' else ''):
                shown[f'paper: {name} (one run)'] = curve
    title = f'{label(config)} on {config.task}, {config.planner_model} planner model'
    plots.learning_curve(tables, run.path / 'learning_curve.png', title, shown)
