"""A training process killed at random moments ends, resumed, as if nothing had happened.

`pytest -m slow -rP` strikes 25 times, MPQ_JAX_KILLS=200 so many, and says where.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest

from mpq_jax.runs.checkpoint import Checkpointer
from mpq_jax.runs.events import read_events
from mpq_jax.runs.metrics import WALL_TIME_COLUMNS, read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import make_programs
from tests import killed_run
from tests.entry_points import ROOT

KILLS = int(os.environ.get('MPQ_JAX_KILLS', '25'))
FIRST_SEEDS = (12,)  # writing a checkpoint


def train(path, seed):
    return subprocess.run(
        [sys.executable, '-m', 'tests.killed_run', str(path), str(seed)],
        cwd=ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def outcome(path, config=None):
    """State, counters, rows and events, but for times."""
    run, config = RunDirectory(path), config or killed_run.config()
    checkpointer = Checkpointer(run.checkpoints)
    saved, problems = checkpointer.restore(make_programs(config).state_shapes(), config)
    checkpointer.close()
    assert problems == []
    leaves = [
        jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
        for x in jax.tree.leaves(saved.state)
    ]
    rows = [
        {name: x for name, x in row.items() if name not in WALL_TIME_COLUMNS}
        for row in read_rows(run.metrics_file)
    ]
    events = Counter(
        (event.step, value.tag, value.simple_value)
        for file in run.events.iterdir()
        for event in read_events(file)
        for value in event.summary.value
        if not value.tag.endswith('_seconds')
    )
    return saved.episode, saved.counters, rows, events, [np.asarray(x) for x in leaves]


def assert_same(one, other):
    assert one[:4] == other[:4]
    for left, right in zip(one[4], other[4], strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp('undisturbed') / 'run'
    result = train(path, -1)
    assert result.returncode == 0, result.stderr
    return outcome(path)


def killed_and_resumed(path, seeds, kills, undisturbed):
    """Runs until so many kills have struck and the last run has ended; what they struck."""
    killed, number, finished = [], 0, True
    while len(killed) < kills or not finished:
        run = path / f'run{number}'
        result = train(run, next(seeds) if len(killed) < kills else -1)
        finished = result.returncode == 0
        if finished:
            assert_same(outcome(run), undisturbed)
            number += 1
            continue
        assert result.returncode == -signal.SIGKILL, result.stderr
        killed.append(re.search('to be killed: (.*)', result.stdout)[1])
    return killed, number


@pytest.mark.slow  # test_command_line has a kill in the fast part
def test_a_run_killed_at_random_moments_ends_as_if_it_had_not_been(undisturbed, tmp_path):
    seeds = itertools.chain(FIRST_SEEDS, itertools.count(1000))
    killed, runs = killed_and_resumed(tmp_path, seeds, len(FIRST_SEEDS), undisturbed)
    assert len(killed) == len(FIRST_SEEDS) and runs >= 1


@pytest.mark.slow
def test_many_kills(undisturbed, tmp_path):
    """In two rows of runs beside each other."""
    first, second = itertools.count(100, 2), itertools.count(101, 2)
    half = -(-KILLS // 2)
    rows = [(tmp_path / 'a', first, half), (tmp_path / 'b', second, KILLS - half)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda row: killed_and_resumed(*row, undisturbed), rows))
    killed = [moment for moments, _ in found for moment in moments]
    runs = sum(number for _, number in found)
    print(f'\n{len(killed)} kills, {len(killed)} resumes, {runs} runs to the end, 0 differences:')
    print('\n'.join(f'  {moment}' for moment in killed))
