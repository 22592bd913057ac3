"""A run from its config to its end: `train`."""

import contextlib
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mpq_jax.base.files import remove_leftovers
from mpq_jax.base.interrupts import EPISODE_SECONDS, Stopped, stop_on_signals
from mpq_jax.base.progress import Reporter
from mpq_jax.config import Batch, Config
from mpq_jax.config.labels import agent_label
from mpq_jax.config.run_length import counted
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.runs.lock import only_writer
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.tasks import keep_tasks
from mpq_jax.training.assembly import make_programs
from mpq_jax.training.training_loop import TrainingLoop

__all__ = ['Stopped', 'train']


@keep_tasks()
def train(
    runs: Config | Batch,
    run_dir: str | Path,
    *,
    resume: bool = False,
    real_systems: Sequence[RealSystem] = (),
    label: str = '',
    console: Console | None = None,
    reporter: Reporter | None = None,
) -> RunDirectory:
    """Trains an agent, all seeds (and variants) as one batch, into a run directory.

    Args:
      runs: a config (see `mpq_jax.preset`), whose seeds are the batch, or a `Batch` of it.
      run_dir: a directory that does not exist yet, or with `resume` one that holds a run.
      resume: continue from the latest checkpoint, bit for bit on CPU.
      real_systems: one a member, where config.real_system is 'own'.
      label: what progress lines start with; the agent and its horizon if empty.
      console: where progress is shown.
      reporter: shows progress instead, where this run is one among several.

    Returns:
      The run directory, with `metrics.csv` and checkpoints written.

    Raises:
      ConfigError, TaskError, RunError: settings that cannot be used, before anything starts.
      RunError: a full disk, a real system that fails, Q that diverges; what was saved stands.
      NothingLearnedError: the run went to its end and is saved, but a member took no step in any
        episode, or none of its learning rounds had a finite target.
      Stopped: Ctrl-C or SIGTERM came; the run can be resumed.
    """
    batch = Batch.of(runs).validate()
    config, run = batch.config, RunDirectory(run_dir)
    programs = make_programs(batch, real_systems, run.planner_backend if resume else '')
    facts = {
        'settings_chosen_on': programs.real.task.settings_chosen_on,
        'physics': programs.physics,
        'planner_backend': programs.agent.simulator.backend,
    }
    if resume:
        run.read_config()
        run.describe(**facts)
    else:
        run.create(batch, **facts)
    label = label or agent_label(config)
    reporter = reporter or Reporter(label, *counted(config), console)
    driven = contextlib.closing(programs.collector)
    with only_writer(run.path), reporter, stop_on_signals() as stop, driven:
        remove_leftovers(run.path)
        reporter.say(f'{label}: ' + ', '.join(f'{k} on {v}' for k, v in programs.physics.items()))
        if foretold := programs.hours_foretold():
            reporter.say(f'{label}: {foretold}')
        stop.before_exit = programs.collector.close
        hooks = programs.compiler.hooks
        hooks.on_compile, hooks.on_failure = reporter.compiling, reporter.say
        patience = 0.0 if config.real_system == 'own' else EPISODE_SECONDS
        hooks.on_step = stop.checked(reporter.working, patience)
        TrainingLoop(batch, programs, run, reporter, stop).run_to_end(resume)
    return run
