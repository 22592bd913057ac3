"""Reading a run costs it nothing; a second writer is refused; any machine can start."""

import os
import shutil
import subprocess
import sys
import threading

import pytest

import mpq_jax
from mpq_jax.base import machine
from mpq_jax.base.validation import RunError
from mpq_jax.evaluation.loading import load_run
from mpq_jax.runs import lock
from mpq_jax.runs.checkpoint import latest_episode
from mpq_jax.runs.metrics import read_rows
from tests.conftest import tiny_lq_config
from tests.entry_points import ROOT


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    return mpq_jax.train(tiny_lq_config(episodes=3), tmp_path_factory.mktemp('read') / 'run')


def test_readers_in_a_loop_leave_a_live_run_alone(tmp_path):
    """Every way of reading, again and again, while each episode writes a checkpoint."""
    config, path = tiny_lq_config(episodes=15), tmp_path / 'run'
    problems, read, finished = [], [], threading.Event()

    def keep_reading():
        while not finished.is_set():
            try:
                load_run(path)
                mpq_jax.load_controller(path)
                read.append(True)
            except RunError as error:
                if 'no checkpoint' not in str(error) and 'holds no run' not in str(error):
                    problems.append(error)
            except Exception as error:
                problems.append(error)

    reader = threading.Thread(target=keep_reading)
    reader.start()
    try:
        run = mpq_jax.train(config, path)
    finally:
        finished.set()
        reader.join()
    assert len(read_rows(run.metrics_file)) == 30 and latest_episode(run.checkpoints) == 15
    assert not problems and read


def test_a_reader_leaves_a_checkpoint_that_is_being_written(trained, tmp_path):
    copy = tmp_path / 'run'
    shutil.copytree(trained.path, copy)
    unfinished = copy / 'checkpoints' / 'episode_4.orbax-checkpoint-tmp'
    (unfinished / 'state').mkdir(parents=True)
    load_run(copy)
    mpq_jax.load_controller(copy)
    mpq_jax.evaluate(copy, 1)
    assert (unfinished / 'state').is_dir()


def test_a_second_writer_is_refused_and_told_who_writes(trained):
    held = subprocess.Popen(
        [sys.executable, '-c', HOLDER, str(trained.path)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=ROOT, text=True,
    )  # fmt: skip
    assert held.stdout is not None and held.stdout.readline() == 'held\n'
    before = trained.metrics_file.read_bytes()
    with pytest.raises(RunError, match=rf'is being written by process {held.pid} on .* since'):
        mpq_jax.train(tiny_lq_config(episodes=5), trained.path, resume=True)
    assert trained.metrics_file.read_bytes() == before
    held.kill()  # and leaves nothing behind
    held.wait()
    mpq_jax.train(tiny_lq_config(episodes=4), trained.path, resume=True)


HOLDER = """
import sys
from pathlib import Path
from mpq_jax.runs.lock import only_writer
with only_writer(Path(sys.argv[1])):
    print('held', flush=True)
    sys.stdin.read()
"""


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(RunError, match='cannot be written'), lock.only_writer(tmp_path / 'none'):
        pass


ENTRY_POINTS = (
    'evaluate', 'sweep', 'report', 'reproduce', 'headline', 'benchmark_mppi', 'benchmark_training',
    'benchmark_sweep',
)  # fmt: skip


@pytest.mark.parametrize(
    'module', ['train', *(pytest.param(name, marks=pytest.mark.slow) for name in ENTRY_POINTS)]
)
def test_every_entry_point_starts_on_a_machine_that_says_little(module):
    """Without affinity, as on a Mac, and without sysconf: a wrong flag is all that is wrong."""
    code = (
        'import os, sys\n'
        'del os.sched_getaffinity, os.sysconf\n'
        f"sys.argv = ['experiments.{module}', 'nonsense']\n"
        'import runpy\n'
        f"runpy.run_module('experiments.{module}', run_name='__main__')\n"
    )
    result = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, timeout=300,
        check=False, env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    )  # fmt: skip
    assert result.returncode == 2 and "'nonsense' is not a flag" in result.stderr, result.stderr


def test_cores_and_memory_are_known_or_assumed(monkeypatch, tmp_path):
    assert machine.usable_cores() == len(os.sched_getaffinity(0))
    installed = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    assert 0 < machine.memory_bytes() <= installed
    limit = tmp_path / 'memory.max'
    limit.write_text('1073741824\n')
    monkeypatch.setattr(machine, '_LIMITS', (str(limit),))
    assert machine.memory_bytes() == 2**30  # of a container
    limit.write_text('max\n')
    assert machine.memory_bytes() == installed
    monkeypatch.delattr(os, 'sched_getaffinity')
    monkeypatch.delattr(os, 'sysconf')
    assert machine.usable_cores() == os.cpu_count() and machine.memory_bytes() == 8 * 2**30
