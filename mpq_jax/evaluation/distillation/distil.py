"""A policy distilled from a trained run's planner: `distil`."""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import RunError, check_at_least
from mpq_jax.config import Config
from mpq_jax.config.fields import set_fields
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.evaluation.distillation.comparing import compare
from mpq_jax.evaluation.distillation.export import export_policies
from mpq_jax.evaluation.loaded_controller import DISTILLED
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.tasks import keep_tasks
from mpq_jax.training.trainer import train

EPISODES = 20  # in each of which the planner labels what was visited


@keep_tasks()
def distil(
    run_dir: str | Path,
    fields: Mapping[str, Any] | None = None,
    *,
    resume: bool = False,
    test_episodes: int = 20,
    task: str | None = None,
    real_systems: Sequence[RealSystem] = (),
    console: Console | None = None,
) -> dict[str, Any]:
    """Fits a policy to what a run's planner does, in `run_dir/distilled`, and holds both together.

    Args:
      run_dir: a run that was trained to its end, of an agent that plans.
      fields: of the config by dotted name, in the place of that run's: {'episodes': 30}.
      resume: go on with what is in `run_dir/distilled`, or only test it again.
      test_episodes: a seed, of planner and policy, on the same starts.
      task: the run's `module:factory`, where its task is not a registered one.
      real_systems: one a seed, where the run's real_system is 'own'.
      console: where progress is shown.

    Returns:
      What `distilled.json` holds.

    Raises:
      RunError, ConfigError: no such run, one that is not at its end, an agent that does not plan,
        a run with variants; what `train` raises.
    """
    check_at_least('test_episodes', test_episodes, 1)
    console = console or make_console()
    run = RunDirectory(run_dir)
    planner = run.read_batch(task).config
    if not run.finished(planner):
        raise RunError(
            f'run_dir = {str(run.path)!r} is not at its end: continue it with '
            f'{run.how_to_resume(planner)}'
        )
    there = RunDirectory(run.path / DISTILLED)
    config = there.read_config(task) if resume else distilled_config(planner, run.path)
    config = set_fields(config, fields or {})
    train(config, there.path, resume=resume, real_systems=real_systems, console=console)
    result = compare(run, there, test_episodes, real_systems, console)
    result['files'], interface = export_policies(
        there.path, functools.partial(console.print, markup=False)
    )
    result['interface'] = interface
    write_atomically(there.path / 'distilled.json', json.dumps(result, indent=1) + '\n')
    return result


def distilled_config(planner: Config, run_dir: Path) -> Config:
    """The run that distils the planner of another one: its task, seeds, planner and beliefs."""
    fields = {
        'agent': 'distilled', 'from_run': str(run_dir.resolve()), 'episodes': EPISODES,
        'learner.episodes_per_round': 1, 'training.baselines': False,
        'distil.from_buffer': not planner.learns_dynamics,
    }  # fmt: skip
    return set_fields(planner, fields)
