"""A trained run, as its directory has it."""

from collections.abc import Sequence
from pathlib import Path

from mpq_jax.environments.real_system import RealSystem
from mpq_jax.runs.checkpoint import Checkpoint
from mpq_jax.runs.restoring import latest
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import make_programs
from mpq_jax.training.programs import Programs


def load_run(
    run_dir: str | Path,
    real_systems: Sequence[RealSystem] | None = (),
    task: str | None = None,
) -> tuple[Programs, Checkpoint, list[str]]:
    """A run's programs and latest readable checkpoint, and messages about unreadable ones.

    `real_systems` as for `make_programs`.

    Raises:
      RunError: no run or no readable checkpoint there, or a task that has to be given.
      ConfigError: the config does not match the checkpoint.
    """
    run = RunDirectory(run_dir)
    batch = run.read_batch(task)
    programs = make_programs(batch, real_systems, run.planner_backend)
    saved, problems = latest(run, programs.state_shapes(), batch)
    return programs, saved._replace(state=programs.compiler.layout.placed(saved.state)), problems
