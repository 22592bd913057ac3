"""A benchmark on systems nobody here wrote: python -m experiments.environments [--entries=...].

No control, MPPI at a short and a long horizon, SoftQ and MPQ in environments of dm_control and
Gymnasium, whose masses and lengths the planner believes to be up to half as large again. Settings
were chosen on seeds 0 to 9 (BUILD_NOTES.md) and are shown on seeds from 100 on. Each row is a sweep
below --run_dir, so the same command goes on where it was stopped; environments.json, .md and .png
are written after each. --draw_only runs nothing.
"""

from pathlib import Path
from typing import NamedTuple

from absl import flags

from experiments import environments_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Fields, Grid

FLAGS = flags.FLAGS
STEPS = 'training.max_env_steps'


class Entry(NamedTuple):
    """A task, the environment it is played in, and how."""

    task: str  # a factory of experiments.environment_tasks, or a name
    real_system: str
    short: int  # H of MPPI and MPQ
    long: int  # H of MPPI
    repeat: int  # environment steps a control step
    fields: Fields  # of all agents
    published: str = ''  # the task's name in dm_control_returns.csv
    episodes: int = 20
    of_agent: dict[str, Fields] = {}  # noqa: RUF012  read only


def _acting(temperature: float, noise_variance: float) -> Fields:
    return {'planner.temperature': temperature, 'planner.noise_variance': noise_variance}


_TASKS = 'experiments.environment_tasks'
ENTRIES = {
    'cartpole': Entry(
        f'{_TASKS}:cartpole', 'dm_control:cartpole-swingup', 20, 100, 2, {}, 'cartpole-swingup',
        of_agent={
            'mppi_short': _acting(0.03, 2.0),
            'mppi_long': _acting(0.01, 0.5),
            'softq': _acting(0.01, 0.5),
            'mpq': _acting(0.01, 0.5),
        },
    ),
    'reacher': Entry(
        f'{_TASKS}:reacher', 'dm_control:reacher-hard', 10, 20, 2,
        # dm_control's own time step; a round from many states, since few see the small target.
        {'planner_physics.timestep': 0.02, 'learner.num_states': 1024}, 'reacher-hard',
        of_agent={
            'mppi_short': _acting(0.02, 1.0),
            'mppi_long': _acting(0.02, 0.5),
            'softq': {'planner.discount': 0.9, **_acting(0.02, 0.5)},
            'mpq': {'planner.discount': 0.9, **_acting(0.02, 0.5)},
        },
    ),
    'double_pendulum': Entry(
        f'{_TASKS}:double_pendulum', 'gymnasium', 3, 32, 1,
        # Episodes are short at first: a round after five of them.
        {
            STEPS: 20_000,
            'learner.episodes_per_round': 5,
            'learner.num_states': 512,
            'learner.epochs': 40,
        },
        episodes=100,
        of_agent={
            'mppi_short': {'planner.horizon': 10, **_acting(4e-4, 0.02)},
            # Four model steps for one of H=10, and nothing learned: only a hundred episodes.
            'mppi_long': {STEPS: 0, **_acting(4e-4, 0.02)},
            'softq': _acting(0.005, 0.05),
            'mpq': _acting(0.005, 0.05),
        },
    ),
    'half_cheetah': Entry(
        'gymnasium:HalfCheetah-v5', 'gymnasium', 16, 32, 1, {},
        of_agent={'softq': {'planner.discount': 0.97}, 'mpq': {'planner.discount': 0.97}},
    ),
}  # fmt: skip


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/environments')
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.entries:
        for row, fields in rows_of(ENTRIES[name]).items():
            if row.split('_')[0] in FLAGS.agents:
                for directory, fixed in _sweeps(ENTRIES[name], fields, path / name / row):
                    run_sweep(Grid.of(fixed, (fields,)), directory, console=console)
                    environments_page.write(path, ENTRIES, None)
    environments_page.write(path, ENTRIES, console)


def rows_of(entry: Entry) -> dict[str, Fields]:
    """A row's directory, and its fields."""
    rows: dict[str, Fields] = {
        'none': {'agent': 'none'},
        'mppi_short': {'agent': 'mppi', 'planner.horizon': entry.short},
        'mppi_long': {'agent': 'mppi', 'planner.horizon': entry.long},
        'softq': {'agent': 'softq'},
        'mpq': {'agent': 'mpq', 'planner.horizon': entry.short},
    }
    for row, fields in rows.items():
        if row != 'none':
            fields |= entry.of_agent.get(row, {})
    return rows


def _sweeps(entry: Entry, fields: Fields, path: Path) -> list[tuple[Path, Fields]]:
    """A row's sweeps: one, or with a bound on the steps one a seed, which ends by itself."""
    fixed = _fixed(entry)
    steps = (fixed | fields).get(STEPS)
    if not steps:
        return [(path, fixed)]
    alone = {'num_seeds': 1, 'episodes': FLAGS.episodes or steps}  # more than there can be
    seeds = range(FLAGS.seed, FLAGS.seed + FLAGS.num_seeds)
    return [(path / str(seed), fixed | alone | {'seed': seed}) for seed in seeds]


def _fixed(entry: Entry) -> Fields:
    return {
        'task': entry.task,
        'real_system': entry.real_system,
        'planner_model': 'biased',
        'seed': FLAGS.seed,
        'num_seeds': FLAGS.num_seeds,
        'episodes': FLAGS.episodes or entry.episodes,
        'training.validation_episodes': 0,  # the last parameters play
        **entry.fields,
    }


def define_flags() -> None:
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'tasks')
    flags.DEFINE_list('agents', ['none', 'mppi', 'softq', 'mpq'], 'in this order')
    flags.DEFINE_integer('seed', 100, 'the first; settings were chosen on seeds 0 to 9')
    flags.DEFINE_integer('num_seeds', 5, 'of each row')
    flags.DEFINE_integer('episodes', None, 'a seed, for a shorter table')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')


if __name__ == '__main__':
    define_flags()
    command_line.run(main)
