"""Sweeps into the wrong directory, and cells that fail."""

import pytest

from mpq_jax.base.validation import RunError
from mpq_jax.runs.metrics import read_rows
from mpq_jax.sweep import launch, run_sweep
from tests.test_sweep import grid, task  # noqa: F401 (a fixture)


def test_a_directory_of_something_else_is_refused(tmp_path):
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(RunError, match='no sweep'):
        run_sweep(grid({'planner.horizon': [2]}), tmp_path)


def test_a_cell_that_fails_does_not_take_the_others_with_it(tmp_path, monkeypatch):
    train = launch.train

    def sometimes(batch, *args, **kwargs):
        if batch.config.planner.horizon == 2:
            raise RuntimeError('the machine caught fire')
        return train(batch, *args, **kwargs)

    monkeypatch.setattr(launch, 'train', sometimes)
    with pytest.raises(
        RunError, match=r'planner\.horizon=2: RuntimeError: the machine caught fire'
    ):
        run_sweep(grid({'planner.horizon': [2, 1]}, episodes=1), tmp_path / 'sweep')
    done = tmp_path / 'sweep' / 'cells' / 'planner.horizon=1' / 'metrics.csv'
    assert len(read_rows(done)) == 3
