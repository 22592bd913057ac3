"""Sweeps fields over many seeds: mpq sweep --sweep planner.horizon=1,2,4,8.

Each combination of sizes and words (horizon, samples, agent, task) is a cell: one set of compiled
programs. Numbers (temperature, step size, learning rate) and seeds are the batch inside a cell.
"""

from absl import flags

from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, check_choice
from mpq_jax.commands import command_line
from mpq_jax.config.fields import PLANNER, with_planners
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid, parse_sweeps, product
from mpq_jax.sweep.launch import Launcher

FLAGS = flags.FLAGS
command_line.define_run_flags()
command_line.define_run_directory_flag()
flags.DEFINE_multi_string('sweep', [], 'field=value,value,...: repeated, it makes the product')
flags.DEFINE_string('launcher', 'local', "'local': cells one after the other here; or 'ray'")
flags.DEFINE_string('ray_address', None, "a cluster's, or 'auto'; one is started here if left out")
flags.DEFINE_float('ray_cpus', 1.0, 'CPUs that a cell asks for')
flags.DEFINE_float('ray_gpus', 0.0, 'GPUs that a cell asks for')
flags.DEFINE_integer('ray_retries', 3, 'how often a cell starts again after its worker died')


def main() -> None:
    grid = grid_from_flags()
    run_sweep(
        grid,
        FLAGS.run_dir or command_line.default_run_dir(grid.config(grid.points[0])),
        launcher=make_launcher(),
        console=make_console(),
    )


def grid_from_flags() -> Grid:
    """The grid that the flags describe, checked."""
    planners = _planners()
    swept = parse_sweeps(FLAGS.sweep, with_planners(planners))
    if not swept:
        raise ConfigError(
            '--sweep', [], 'given: field=value,value,... such as planner.horizon=1,2,4'
        )
    fixed = command_line.given_fields(FLAGS, planners)
    named = {name: FLAGS[name].value for name in ('task', 'agent', 'preset')}
    fixed |= {name: value for name, value in named.items() if value is not None}
    for name in fixed:
        if name in swept:
            raise ConfigError(
                f'--sweep {name}', swept[name], f'given once: it is {fixed[name]!r} too'
            )
    return Grid.of(fixed, product(swept))


def _planners() -> list[str]:
    """Those that flags name: every field that one of them has can be given and swept."""
    given = [FLAGS.planner] if FLAGS.planner else []
    texts = [text.partition('=') for text in [*FLAGS.sweep, *(FLAGS.set or [])]]
    named = [values for name, _, values in texts if name.strip() == PLANNER]
    return [*given, *(name.strip() for values in named for name in values.split(','))]


def make_launcher() -> Launcher | None:
    """None runs the cells in this process."""
    check_choice('--launcher', FLAGS.launcher, ('local', 'ray'))
    if FLAGS.launcher == 'local':
        return None
    from mpq_jax.sweep.ray_launcher import RayLauncher

    return RayLauncher(FLAGS.ray_address, FLAGS.ray_cpus, FLAGS.ray_gpus, FLAGS.ray_retries)


if __name__ == '__main__':
    # With Ray the workers need the accelerators, and would find them taken.
    command_line.run(main, uses_accelerator=lambda: FLAGS.launcher != 'ray')
