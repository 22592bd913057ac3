"""An agent beside plain MPPI: running the baselines, the closing table, the learning curve."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import mpq_jax
from experiments import published
from mpq_jax import plots
from mpq_jax.config import AGENT_NAMES, Config
from mpq_jax.metrics import read_table
from mpq_jax.run_directory import RunDirectory
from mpq_jax.statistics import describe_mean
from mpq_jax.tasks import load_task
from mpq_jax.validation import RunError


def label(config: Config) -> str:
    model = '' if config.planner_model == 'biased' else ', true model'
    data = '' if config.q_data == 'real' else ', DR data'
    return f'{AGENT_NAMES[config.agent]} H={config.planner.horizon}{model}{data}'


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
    measure = 'return' if load_task(config.task).success is None else 'success'
    digits = 0 if measure == 'return' else 2
    late = config.episodes // 3
    table = Table(
        title=f'{config.task}: mean {measure} [95 % interval over {config.num_seeds} seeds]'
    )
    for heading in ('agent', 'all episodes', f'last {config.episodes - 2 * late}', 'model steps'):
        table.add_column(heading, justify='left' if heading == 'agent' else 'right')
    for each in runs:
        try:
            name, returns = label(each.read_config()), read_table(each.metrics_file, measure)
            steps = np.nansum(read_table(each.metrics_file, 'model_steps')[:, -1])
        except RunError:
            continue
        tables[name] = returns
        table.add_row(
            name,
            describe_mean(returns.mean(axis=1), digits),
            describe_mean(returns[:, 2 * late :].mean(axis=1), digits),
            f'{steps:,.0f}',
        )
    console.print(table)
    published_curves = published.training_curves(load_task(config.task).name)
    title = f'{label(config)} on {config.task}, {config.planner_model} planner model'
    path = run.path / 'learning_curve.png'
    plots.learning_curve(tables, path, title, labelled(published_curves), measure)
    shown = sorted(p.name + ('/' if p.is_dir() else '') for p in run.path.iterdir())
    console.print(f'{run.path}: {", ".join(shown)}', markup=False)


def _by_horizon(path: Path) -> int:
    return int(path.name.rpartition('_h')[2])


def labelled(curves: dict[tuple[str, int, str], np.ndarray]) -> dict[str, np.ndarray]:
    """The paper's curves under the labels that ours have."""
    named = {}
    for (agent, horizon, model), curve in curves.items():
        true = ', true model' if model == 'true' else ''
        named[f'{AGENT_NAMES[agent]} H={horizon}{true}'] = curve
    return named
