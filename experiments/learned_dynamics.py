"""Learned dynamics: python -m experiments.learned_dynamics [--entries=...].

PETS's cartpole (Chua et al., 2018); pendulum, ball in cup and Gymnasium's Reacher under four models
of the planner. Settings were chosen on seeds 0 to 9 (BUILD_NOTES.md), seeds from 100 on are shown.
Each entry is a sweep below --run_dir, so the same command goes on where it was stopped;
learned_dynamics.json, .md and the figures are written after each. --draw_only runs nothing. A
learned_dynamics.json that is put into --run_dir stands for the entries that have no sweep there.
"""

from pathlib import Path
from typing import Any, NamedTuple

from absl import flags

from experiments import learned_dynamics_page
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_choice
from mpq_jax.commands import command_line
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Fields, Grid, product

FLAGS = flags.FLAGS


class Entry(NamedTuple):
    """A sweep: what its points share, and what they differ in."""

    fixed: Fields
    swept: dict[str, list[Any]] = {}  # noqa: RUF012


_CARTPOLE = {
    'task': 'cartpole_swingup', 'agent': 'mppi', 'preset': 'pets_small', 'episodes': 15,
    'real_system': 'mujoco', 'training.validation_episodes': 0,
}  # fmt: skip
# One network a plan; plans divide over five networks.
_SMALL = {
    'agent': 'mppi', 'training.validation_episodes': 0, 'planner.num_samples': 40,
    'dynamics.particles': 0, 'dynamics.hidden_width': 100, 'dynamics.hidden_layers': 2,
}  # fmt: skip
_MODELS = ['learned', 'residual', 'biased', 'true']
_PENDULUM = {
    'task': 'pendulum', 'episodes': 50, 'training.validation_episodes': 0,
    'dynamics.hidden_width': 64, 'dynamics.hidden_layers': 2,
}  # fmt: skip
_NOTHING = {'agent': 'none', 'training.validation_episodes': 0}
ENTRIES = {
    'cartpole_learned': Entry(_CARTPOLE | {'planner_model': 'learned'}),
    'cartpole_true': Entry(
        _CARTPOLE | {'planner_model': 'true', 'planner_physics.backend': 'equations'}
    ),
    'cartpole_biased': Entry(
        _CARTPOLE | {'planner_model': 'biased', 'planner_physics.backend': 'equations'}
    ),
    # One network a plan: a fifth of the arithmetic of five particles.
    'cartpole_shooting': Entry(
        _CARTPOLE
        | {
            'planner_model': 'learned',
            'planner.name': 'random_shooting',
            'planner.iterations': 1,
            'planner.num_samples': 2000,
            'dynamics.particles': 0,
        }
    ),
    'cartpole_residual': Entry(
        _CARTPOLE | {'planner_model': 'residual', 'planner_physics.backend': 'equations'}
    ),
    'pendulum_mppi': Entry(
        _PENDULUM | {'agent': 'mppi', 'planner.horizon': 32}, {'planner_model': _MODELS}
    ),
    'pendulum_mppi_white': Entry(
        _PENDULUM | {'agent': 'mppi', 'planner.horizon': 32, 'planner.noise': 'white'},
        {'planner_model': _MODELS[::-1]},
    ),
    'pendulum_mpq': Entry(
        _PENDULUM | {'agent': 'mpq', 'planner.horizon': 8}, {'planner_model': _MODELS}
    ),
    # Plans as long as a swing into the cup, with the noise that suits them (results/planners).
    'ball_in_cup': Entry(
        _SMALL
        | {
            'task': 'ball_in_cup',
            'episodes': 30,
            'planner.horizon': 48,
            'planner.noise': 'coloured',
            'planner.colour': 2.0,
        },
        {'planner_model': _MODELS},
    ),
    'reacher': Entry(
        _SMALL
        | {
            'task': 'gymnasium:Reacher-v5',
            'real_system': 'gymnasium',
            'episodes': 30,
            'dynamics.random_episodes': 2,
        },
        {'planner_model': _MODELS},
    ),
    # What all are held against.
    'pendulum_none': Entry(_NOTHING | {'task': 'pendulum', 'episodes': 50}),
    'ball_in_cup_none': Entry(_NOTHING | {'task': 'ball_in_cup', 'episodes': 30}),
    'reacher_none': Entry(
        _NOTHING | {'task': 'gymnasium:Reacher-v5', 'real_system': 'gymnasium', 'episodes': 30}
    ),
}


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/learned_dynamics')
    for name in FLAGS.entries:
        check_choice('--entries', name, tuple(ENTRIES))
    for name in () if FLAGS.draw_only else FLAGS.entries:
        entry = ENTRIES[name]
        fixed = {'seed': 100, 'num_seeds': FLAGS.num_seeds, **entry.fixed}
        if FLAGS.episodes:
            fixed['episodes'] = FLAGS.episodes
        run_sweep(Grid.of(fixed, product(entry.swept)), path / name, console=console)
        learned_dynamics_page.write(path, tuple(ENTRIES))
    console.print(learned_dynamics_page.write(path, tuple(ENTRIES)), markup=False)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', list(ENTRIES), 'sweeps')
    flags.DEFINE_integer('num_seeds', 5, 'from 100 on')
    flags.DEFINE_integer('episodes', None, 'a seed, for a shorter table')
    flags.DEFINE_bool('draw_only', False, 'run nothing more')
    command_line.run(main)
