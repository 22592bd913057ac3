"""The entry points: bad input is named before anything starts; a killed run goes on exactly."""

import os
import re
import shutil
import signal
import subprocess
import time

import jax
import numpy as np
import pytest

from mpq_jax.runs.checkpoint import Checkpointer, latest_episode
from mpq_jax.runs.metrics import WALL_TIME_COLUMNS, read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import make_programs
from tests.entry_points import ROOT, command, run, tiny_flags

DRAWS = True


def resume(path, *flags):
    result = run('train', f'--run_dir={path}', '--resume', *flags)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
    """A run of six episodes from the command line that nothing disturbed."""
    path = tmp_path_factory.mktemp('command') / 'whole'
    result = run('train', *tiny_flags(), f'--run_dir={path}')
    assert result.returncode == 0, result.stderr
    return path, result.stdout


def saved_state(path):
    config = RunDirectory(path).read_config()
    checkpointer = Checkpointer(RunDirectory(path).checkpoints)
    saved, problems = checkpointer.restore(make_programs(config).state_shapes(), config)
    checkpointer.close()
    assert problems == []
    return saved


def assert_same_run(path, other):
    """Parameters, optimiser, buffer, keys, counters and CSV rows: bit for bit."""
    one, two = saved_state(path), saved_state(other)
    assert one.episode == two.episode and one.counters == two.counters
    for left, right in zip(jax.tree.leaves(one.state), jax.tree.leaves(two.state), strict=True):
        if jax.dtypes.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        np.testing.assert_array_equal(left, right)
    rows = [
        [{k: v for k, v in row.items() if k not in WALL_TIME_COLUMNS} for row in read_rows(file)]
        for file in (RunDirectory(path).metrics_file, RunDirectory(other).metrics_file)
    ]
    assert rows[0] == rows[1]


def test_a_killed_run_resumes_bit_for_bit(uninterrupted, tmp_path):
    path = tmp_path / 'killed'
    process = subprocess.Popen(
        command('train', *tiny_flags(), f'--run_dir={path}'),
        cwd=ROOT, stdout=subprocess.DEVNULL, env=os.environ | {'JAX_NUM_CPU_DEVICES': '1'},
    )  # fmt: skip
    metrics = path / 'metrics.csv'
    try:
        deadline = time.monotonic() + 200
        while not (metrics.exists() and len(metrics.read_text().splitlines()) > 1 + 2 * 3):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resume(path)
    assert_same_run(path, uninterrupted[0])


def test_rows_beyond_the_checkpoint_are_cut(uninterrupted, tmp_path):
    """A crash between a row and its checkpoint leaves a row that will be computed again."""
    path = tmp_path / 'copy'
    shutil.copytree(uninterrupted[0], path)
    shutil.rmtree(path / 'checkpoints' / 'episode_6')
    with open(path / 'metrics.csv', 'a') as file:
        file.write('0,6,-1')  # torn
    resume(path)
    assert_same_run(path, uninterrupted[0])


def test_more_episodes_may_be_asked_for_when_resuming(uninterrupted, tmp_path):
    path = tmp_path / 'copy'
    shutil.copytree(uninterrupted[0], path)
    resume(path, '--episodes=7')
    assert len(read_rows(path / 'metrics.csv')) == 2 * 7
    manifest = (path / 'manifest.json').read_text()
    assert '"resumes"' in manifest and '--episodes=7' in manifest


def test_progress_tells_compiling_from_running_and_where_the_files_are(uninterrupted):
    path, output = uninterrupted
    for text in (
        'compiling learn',
        '6/6 episodes',
        'eta',
        'compiled in',
        'model steps',
        'metrics.csv',
    ):
        assert text in output
    assert (path / 'learning_curve.png').stat().st_size > 5000
    assert (path / 'episode.png').stat().st_size > 5000


def test_evaluate_from_the_command_line(uninterrupted):
    path, _ = uninterrupted
    result = run('evaluate', f'--run_dir={path}', '--episodes=2')
    assert result.returncode == 0, result.stderr
    assert 'return: -' in result.stdout and (path / 'evaluation.json').exists()


def test_a_task_of_ones_own(tmp_path):
    result = run(
        'train', '--task=tests.conftest:lq_task', '--num_seeds=1', '--episodes=1',
        '--set=learner.num_states=64', '--set=learner.epochs=1', '--horizon=2',
        f'--run_dir={tmp_path / "own"}',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    own = 'tests.conftest:lq_task'
    assert RunDirectory(tmp_path / 'own').read_config(own).task == own


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--horizon=0'], 'planner.horizon = 0 is not allowed: it must be at least 1'),
        (['--task=pendulun'], "'pendulun' is not known.*did you mean 'pendulum'"),
        (['--set=planer.horizon=3'], "'planer.horizon'.*did you mean 'planner.horizon'"),
        (['--resume'], '--run_dir = None'),
        (['surplus'], "'surplus' is not a flag"),
    ],
)
def test_bad_flags_are_one_clear_line(flags, message, tmp_path):
    given = [] if '--resume' in flags else [f'--run_dir={tmp_path / "run"}']
    result = run('train', *flags, *given)
    assert result.returncode == 2 and result.stdout == ''
    assert re.search(message, result.stderr) and 'Traceback' not in result.stderr
    assert not (tmp_path / 'run').exists()


def test_sigterm_stops_cleanly_and_says_how_to_go_on(uninterrupted, tmp_path):
    path = tmp_path / 'stopped'
    process = subprocess.Popen(
        command('train', *tiny_flags(episodes=5000), f'--run_dir={path}'),
        cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 200
        while not latest_episode(path / 'checkpoints'):
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.terminate()
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 143  # 128 + SIGTERM
    assert 'stopped by SIGTERM after episode' in errors and '--resume' in errors
    assert saved_state(path).episode == len(read_rows(path / 'metrics.csv')) // 2
