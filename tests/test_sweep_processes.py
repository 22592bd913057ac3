"""Sweeps that are killed, and sweeps on a real Ray cluster whose worker is killed."""

import csv
import json
import os
import signal
import subprocess
import time

import pytest

from mpq_jax.runs.metrics import read_rows
from mpq_jax.runs.run_directory import RunDirectory
from tests.entry_points import ROOT, command, run, tiny_flags

SWEEP = ['--sweep=planner.horizon=2,1', '--sweep=planner.temperature=0.1,0.5']


@pytest.fixture(scope='module', autouse=True)
def one_device():
    """Bit for bit the same here and on a worker that has one core."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('JAX_NUM_CPU_DEVICES', '1')
        yield


def flags(path, episodes=6):
    """Two cells of four members, on the hand-written pendulum."""
    own = ('--set=planner.horizon', '--set=planner.temperature', '--set=episodes')
    fixed = [flag for flag in tiny_flags(episodes) if not flag.startswith(own)]
    return [*fixed, *SWEEP, f'--episodes={episodes}', f'--run_dir={path}']


def start(path, *more):
    return subprocess.Popen(
        command('sweep', *flags(path), *more), cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def table(path):
    with open(path / 'sweep.csv', newline='') as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if not k.endswith('seconds')} for row in rows]


def wait_for_rows(path, cell, episodes, process):
    """Until a cell has finished that many episodes of its four members."""
    metrics = path / 'cells' / cell / 'metrics.csv'
    deadline = time.monotonic() + 250
    while not (metrics.exists() and len(metrics.read_text().splitlines()) > 4 * episodes):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('sweeps') / 'whole'
    result = run('sweep', *flags(path))
    assert result.returncode == 0, result.stderr
    assert 'batch' in result.stdout and 'sweep: 2/2 cells' in result.stdout
    return path


def test_a_killed_sweep_goes_on_where_it_was(whole, tmp_path):
    path = tmp_path / 'sweep'
    process = start(path)
    try:
        wait_for_rows(path, 'planner.horizon=1', 3, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    first = path / 'cells' / 'planner.horizon=2' / 'metrics.csv'
    before = first.stat().st_mtime_ns
    result = run('sweep', *flags(path))
    assert result.returncode == 0, result.stderr
    assert first.stat().st_mtime_ns == before  # the finished cell was not touched
    assert len(resumes(path, 'planner.horizon=1')) == 1
    assert table(path) == table(whole)


@pytest.mark.slow
def test_ray_brings_a_sweep_to_its_end_though_a_worker_dies(whole, tmp_path):
    pytest.importorskip('ray', reason='the ray extra is not installed')
    psutil = pytest.importorskip('psutil')
    path = tmp_path / 'sweep'
    process = start(path, '--launcher=ray', '--ray_address=local')
    try:
        wait_for_rows(path, 'planner.horizon=2', 2, process)
        workers = [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if 'ray::_work' in ' '.join(child.cmdline())
            and any('planner.horizon=2' in file.path for file in child.open_files())
        ]
        assert len(workers) == 1
        os.kill(workers[0].pid, signal.SIGKILL)
        output, _ = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0 and 'sweep: 2/2 cells' in output
    assert 'planner.horizon=1: 6/6 episodes' in output  # progress as with a local sweep
    assert len(resumes(path, 'planner.horizon=2')) == 1
    assert resumes(path, 'planner.horizon=1') == []
    for cell in ('planner.horizon=1', 'planner.horizon=2'):
        assert len(read_rows(path / 'cells' / cell / 'metrics.csv')) == 4 * 6
    assert table(path) == table(whole)


def resumes(path, cell):
    """How often a cell went on after a stop."""
    manifest = json.loads(RunDirectory(path / 'cells' / cell).manifest_file.read_text())
    return manifest.get('resumes', [])
