"""Sweeps over several machines: a driver without an accelerator, run directories that travel."""

import os
import shutil
import subprocess
import sys

import pytest

import mpq_jax
from mpq_jax.base.validation import RunError
from mpq_jax.runs.checkpoint import latest_episode
from mpq_jax.runs.lock import only_writer
from mpq_jax.runs.metrics import read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep import launch, parcels, run_sweep
from mpq_jax.sweep.grid import Grid, product
from mpq_jax.training.assembly import count_work, make_programs
from tests.conftest import tiny_lq_config
from tests.entry_points import ROOT, command, tiny_flags
from tests.test_sweep import grid, task  # noqa: F401 (a fixture)


def test_a_driver_of_a_cluster_asks_for_no_accelerator(tmp_path):
    """Where JAX may use nothing but a GPU that is not there, it still comes to the cluster."""
    pytest.importorskip('ray', reason='the ray extra is not installed')
    flags = [*tiny_flags(1), '--sweep=planner.horizon=1,2', '--ray_address=auto']
    flags = [flag for flag in flags if 'planner.horizon=3' not in flag]
    flags += [f'--run_dir={tmp_path}/sweep']
    result = subprocess.run(
        command('sweep', *flags, '--launcher=ray'), cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {'JAX_PLATFORMS': 'cuda'}, timeout=120,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert '--ray_address' in result.stderr.splitlines()[-1]


def test_a_driver_builds_no_cell(tmp_path, monkeypatch):
    def built(config):
        raise AssertionError(f'H={config.planner.horizon} was built')

    monkeypatch.setattr(launch, 'make_programs', built)
    seen = []
    launcher = lambda cells, directory, display: seen.extend(cells) or []  # noqa: E731
    run_sweep(grid({'planner.horizon': [2, 1]}), tmp_path / 'sweep', launcher=launcher)
    assert [cell.config.planner.horizon for cell in seen] == [2, 1]


@pytest.mark.parametrize('backend', ['mjx', 'mujoco', 'equations'])
def test_work_is_counted_as_what_is_built_has_it(backend):
    config = mpq_jax.set_fields(
        mpq_jax.preset('pendulum'), {'planner_physics.backend': backend, 'num_seeds': 1}
    )
    assert count_work(config).total == make_programs(config).workload.total > 0


def test_what_ends_a_launcher_is_what_is_said(tmp_path, monkeypatch):
    def launcher(cells, directory, display):
        raise ConnectionError('the cluster is gone')

    def summarize(*_):
        raise ValueError('there is nothing to gather')

    monkeypatch.setattr(launch, 'summarize', summarize)
    with pytest.raises(ConnectionError, match='the cluster is gone'):
        run_sweep(grid({'planner.horizon': [1]}), tmp_path / 'sweep', launcher=launcher)


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    """A run of one episode, and of two."""
    path = tmp_path_factory.mktemp('runs')
    return [mpq_jax.train(tiny_lq_config(episodes=n), path / str(n)) for n in (1, 2)]


@pytest.fixture
def begun(runs, tmp_path):
    """A copy of the run of one episode, as a cell of a sweep."""
    shutil.copytree(runs[0].path, tmp_path / 'cells' / 'one')
    return RunDirectory(tmp_path / 'cells' / 'one')


def test_a_run_that_arrives_takes_the_place_of_what_it_continues(runs, begun):
    parcels.take(parcels.pack(runs[1]), begun)
    assert latest_episode(begun.checkpoints) == 2
    assert [path.name for path in begun.path.parent.iterdir()] == ['one']


def test_a_run_that_is_further_than_what_arrives_stays(runs, tmp_path):
    shutil.copytree(runs[1].path, tmp_path / 'one')
    run = RunDirectory(tmp_path / 'one')
    parcels.take(parcels.pack(runs[0]), run)
    assert latest_episode(run.checkpoints) == 2
    assert [path.name for path in tmp_path.iterdir()] == ['one']


def test_a_run_that_cannot_be_put_into_its_place_is_kept(runs, begun):
    with only_writer(begun.path), pytest.raises(RunError, match='being written by') as raised:
        parcels.take(parcels.pack(runs[1]), begun)
    (kept,) = (path for path in begun.path.parent.iterdir() if path.name != 'one')
    assert str(kept) in str(raised.value) and latest_episode(kept / 'checkpoints') == 2
    assert latest_episode(begun.checkpoints) == 1
    parcels.put_back(begun)  # the next time the sweep is started
    assert latest_episode(begun.checkpoints) == 2
    assert [path.name for path in begun.path.parent.iterdir()] == ['one']


def test_a_kill_between_two_renames_loses_nothing(begun):
    begun.path.rename(begun.path.with_name('.one.replaced'))
    parcels.put_back(begun)
    assert latest_episode(begun.checkpoints) == 1


@pytest.mark.slow
def test_a_cluster_without_a_shared_disk_goes_on_with_what_was_begun(tmp_path, monkeypatch):
    """Workers look for another file than the driver writes; a module that only travels to them."""
    pytest.importorskip('ray', reason='the ray extra is not installed')
    from mpq_jax.sweep import ray_launcher

    module = tmp_path / 'modules' / 'own_module.py'
    module.parent.mkdir()
    module.write_text('from tests.conftest import lq_task as make_task\n')
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setattr(sys, 'path', [*sys.path, str(module.parent)])
    monkeypatch.setattr(ray_launcher, '_TOKEN', '.elsewhere')
    fields = {
        name: value
        for name, value in grid({'planner.horizon': [1]}).fixed.items()
        if name != 'task'
    }
    own = {'task': 'own_module:make_task', 'num_seeds': 1}
    launcher = ray_launcher.RayLauncher('local')
    path = tmp_path / 'sweep'
    for episodes in (2, 4):
        begun = Grid.of(fields | own | {'episodes': episodes}, product({'planner.horizon': [1]}))
        run_sweep(begun, path, launcher=launcher if episodes == 4 else None)
    cell = path / 'cells' / 'planner.horizon=1'
    assert len(read_rows(cell / 'metrics.csv')) == 4
    assert len(RunDirectory(cell).read_manifest()['resumes']) == 1
