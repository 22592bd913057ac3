"""Runs that end after so many control steps, whatever number of episodes that is."""

import pytest

import mpq_jax
from mpq_jax.config import set_fields
from mpq_jax.config.run_length import counted, most_steps, share_done
from mpq_jax.runs.metrics import WALL_TIME_COLUMNS, read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid
from tests.conftest import tiny_config, tiny_lq_config


def bounded(config, steps, episodes=50):
    return set_fields(config, {'episodes': episodes, 'training.max_env_steps': steps})


def rows_of(run):
    return [
        {k: v for k, v in row.items() if k not in WALL_TIME_COLUMNS}
        for row in read_rows(run.metrics_file)
    ]


@pytest.mark.parametrize('agent', ['mpq', 'mppi'])
def test_a_run_ends_with_the_episode_that_takes_the_last_step(tmp_path, agent, capsys):
    """Of ten steps each; and goes on where more is asked for, as if it had never ended."""
    config = tiny_lq_config(agent=agent)
    run = mpq_jax.train(bounded(config, 25), tmp_path / 'run')
    assert [int(row['env_steps']) for row in read_rows(run.metrics_file)][-1] == 30
    assert run.finished(bounded(config, 25)) and not run.finished(bounded(config, 31))
    assert '/25 control steps' in capsys.readouterr().out
    mpq_jax.train(bounded(config, 50), run.path, resume=True)
    plain = mpq_jax.train(set_fields(config, {'episodes': 5}), tmp_path / 'plain')
    assert rows_of(run) == rows_of(plain)
    if agent == 'mppi':
        mpq_jax.train(bounded(config, 100, episodes=6), run.path, resume=True)
        assert int(rows_of(run)[-1]['episode']) == 5  # the episodes end it


def test_what_is_left_is_told_by_steps():
    config = bounded(tiny_config(), 1000)
    assert share_done(config, 3, 400) == 0.4 and share_done(config, 40, 400) == 0.8
    assert counted(config) == (1000, 'control steps') and most_steps(config, 30) == 1030
    assert most_steps(bounded(tiny_config(), 0, episodes=4), 30) == 120
    with pytest.raises(mpq_jax.ConfigError, match=r'training\.max_env_steps = -1'):
        bounded(tiny_config(), -1).validate()


def test_cells_of_a_sweep_end_by_steps(tmp_path, capsys):
    fixed = {'task': 'pendulum', 'agent': 'none', 'num_seeds': 1, 'episodes': 9,
             'training.max_env_steps': 300}  # fmt: skip
    grid = Grid.of(fixed, ({'planner.horizon': 4},))
    for _ in range(2):
        run_sweep(grid, tmp_path)
    cell = next((tmp_path / 'cells').iterdir())
    assert len(read_rows(cell / 'metrics.csv')) == 2
    assert RunDirectory(cell).read_manifest().get('resumes') is None
