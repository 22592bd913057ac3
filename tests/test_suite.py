"""`mpq benchmark`: what is a case, that it counts what it says, and that nothing gets lost."""

import dataclasses
import itertools
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.benchmarks import small_models, suite, suite_run
from mpq_jax.benchmarks.contenders import NATIVE, Cell, physics_of
from mpq_jax.benchmarks.measure import FEWEST, take_turns
from mpq_jax.benchmarks.numerics import difference_from_native
from mpq_jax.benchmarks.suite import Case
from mpq_jax.benchmarks.works import make_contenders
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.tasks import keep_tasks, load_task
from mpq_jax.tasks.registry import OF_THE_PAPER
from tests.conftest import lq_task
from tests.entry_points import ROOT, run

DRAWS = True
CARTPOLE = suite.SMALL[0]
steps_taken = []


def counting():
    """A task that notes every step its planner and its system take."""

    def step(parameters, qpos, qvel, action):
        jax.debug.callback(lambda action: steps_taken.extend(action), action)
        return 0.9 * qpos + action, qvel

    return lq_task(name='counting', equations=step)


def wrong():
    """A cartpole whose equations stand still."""
    task = load_task(CARTPOLE)
    return dataclasses.replace(
        task, equations=lambda parameters, qpos, qvel, action: (qpos, qvel), action_size=None
    )


@pytest.mark.parametrize('on_gpu', [False, True])
def test_every_task_and_backend_is_there_or_said_to_be_left_out(on_gpu):
    cases = suite.make_cases(on_gpu)
    for task in OF_THE_PAPER:
        mine = [case for case in cases if case.cell.task == task]
        assert {'plan', 'targets', 'acting', 'numerics'} <= {case.work for case in mine}
        for case in mine:
            there = {*case.backends, *dict(case.left_out)}
            other = 'mujoco' if not on_gpu else 'mjx_arrays' if task == 'pendulum' else 'warp'
            assert {'mjx', other} <= there and ('equations' in there) == (task == 'pendulum')
            assert case.work == 'numerics' or 'mujoco' in case.references or on_gpu
    small = [case for case in cases if case.cell.task in suite.SMALL and case.work == 'plan']
    assert {case.cell.task.rpartition(':')[2] for case in small} == set(small_models.NAMES)
    assert all({'mjx', 'mjx_arrays'} <= set(case.backends) for case in small)


def test_slow_compilations_are_left_out_on_a_cpu_unless_they_are_wanted():
    def left_out(**asked):
        return {case.cell.task for case in suite.make_cases(False, **asked) if case.left_out}

    assert left_out() == {'fetch_push', 'franka_drawer'}
    assert left_out(everything=True) == set()


@pytest.mark.parametrize('warp', [None, True])
def test_a_gpu_gets_large_plans_many_seeds_and_a_sweep_in_parts(monkeypatch, warp):
    monkeypatch.setattr(suite.importlib.util, 'find_spec', lambda name: warp)
    cases = suite.make_cases(True)
    for task in OF_THE_PAPER:
        plans = [case.cell for case in cases if case.cell.task == task and case.work == 'plan']
        assert max(cell.num_samples for cell in plans) == 65536
        assert max(cell.num_states for cell in plans) == 256
        sweep = {cell.horizon for cell in plans if cell.num_samples == 4096}
        assert len(sweep) >= 3 and max(sweep) >= 32
    assert {case.work for case in cases} == set(suite.WORKS)
    parts = suite.make_parts(cases, True)
    assert list(itertools.chain(*parts)) == cases
    with keep_tasks():
        seconds = [sum(suite.estimated_seconds(case, True) for case in part) for part in parts]
    assert max(seconds) < 600 and sum(seconds) < 2400


def test_the_suite_of_a_cpu_is_one_part():
    assert len(suite.make_parts(suite.make_cases(False), False)) == 1


@pytest.mark.parametrize('work', ['plan', 'targets', 'acting', 'episode'])
def test_a_call_takes_the_steps_that_are_counted(work):
    states = 1 if work == 'acting' else 2
    case = Case(work, Cell('tests.test_suite:counting', 12, 3, states), ('equations',))
    contenders = make_contenders(case, lambda name: None)
    jax.effects_barrier()
    steps_taken.clear()
    jax.block_until_ready(contenders.calls['mpq equations']())
    jax.effects_barrier()
    real = states * counting().episode_steps if work == 'episode' else 0
    assert len(steps_taken) == contenders.steps + real > real


def test_a_round_of_many_seeds_is_learned_and_counted():
    cell = Cell('tests.conftest:lq_task', 12, 3, 2)
    contenders = make_contenders(Case('round', cell, ('equations',)), lambda name: None)
    _, metrics = contenders.calls['mpq equations']()
    assert metrics.q_loss.shape == (2,) and np.isfinite(metrics.q_loss).all()
    states = mpq_jax.preset(cell.task).learner.num_states
    assert contenders.steps == 2 * states * 12 * (3 - 1)


@pytest.mark.parametrize(
    ('work', 'task'), [('plan', CARTPOLE), ('targets', CARTPOLE), ('acting', 'fetch_push')]
)
def test_native_takes_as_many_steps(work, task):
    """By MuJoCo's own clock; FetchPush improves its plan twice, four physics steps each."""
    case = Case(work, Cell(task, 3, 3, 1 if work == 'acting' else 2), ('mujoco',), ('mujoco',))
    contenders = make_contenders(case, lambda name: None)
    states, _ = contenders.calls[NATIVE]()
    timestep = load_model(load_task(task), physics_of(task, 'mujoco')).opt.timestep
    assert round(np.sum(states[:, -1, 0]) / timestep) == contenders.steps


def test_numerics_tell_right_from_wrong():
    assert max(difference_from_native('pendulum', 'equations', 8)[:2]) < 1e-5
    assert difference_from_native('tests.test_suite:wrong', 'equations', 8).qvel > 0.1


def test_the_command_writes_table_page_and_figure(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, 'MEASURING_SECONDS', 0.0)
    flags = '--tasks=pendulum,franka_drawer', '--backends=equations,mjx,mujoco'
    result = run(
        'benchmark_mppi', '--suite', *flags, '--works=acting,numerics', f'--out={tmp_path}'
    )
    assert result.returncode == 0, result.stderr
    assert '…' not in result.stdout and 'compiles for' in result.stdout
    rows = json.loads((tmp_path / 'benchmark.json').read_text())['parts']['0']['rows']
    acting = [row for row in rows if row['work'] == 'acting' and not row['left_out']]
    assert {row['contender'] for row in acting} >= {'mpq mjx', 'mpq equations', NATIVE}
    for row in acting:
        assert np.isclose(row['model_steps_per_s'] * row['p50_s'], row['model_steps'])
        assert row['repeats'] == FEWEST and row['p50_s'] <= row['p99_s']
    missing = [(row['task'], row['contender']) for row in rows if row['left_out']]
    assert set(missing) == {('franka_drawer', 'mpq mjx')}
    page = (tmp_path / 'benchmark.md').read_text()
    assert 'left out: compiles for minutes' in page and 'mujoco-mjx' in page
    assert (tmp_path / 'benchmark.png').stat().st_size > 5000


def test_a_stop_loses_nothing_and_parts_come_together(tmp_path, monkeypatch):
    monkeypatch.setattr(suite, 'MOST_SECONDS', 1.0)  # every case a part

    def measured(case, reporter):
        if case.work == 'targets':
            raise KeyboardInterrupt
        return [suite_run._row(case, NATIVE, 'not now')]

    monkeypatch.setattr(suite_run, 'measure', measured)
    arguments = '--suite', '--tasks=franka_drawer', f'--out={tmp_path}'
    assert run('benchmark_mppi', *arguments).returncode == 130
    assert run('benchmark_mppi', *arguments, '--part=3').returncode == 0
    parts = json.loads((tmp_path / 'benchmark.json').read_text())['parts']
    works = {name: [row['work'] for row in part['rows']] for name, part in parts.items()}
    assert works == {'0': ['plan'], '3': ['acting']}
    assert (tmp_path / 'benchmark.md').read_text().count('left out: not now') == 2


def test_what_cannot_be_measured_is_said():
    for flags, message in (
        (['--part=4'], 'part = 4 is not allowed: it must be at least 0 and at most 1'),
        (['--works=planning'], "works = 'planning'"),
        (['--backends=mjz'], "backends = 'mjz'"),
        (['--tasks=fetch_push', '--backends=equations'], 'backends'),
    ):
        result = run('benchmark_mppi', '--suite', *flags)
        assert result.returncode == 2 and message in result.stderr, result.stderr


def test_mpq_benchmark_is_the_suite():
    command = [sys.executable, '-m', 'mpq_jax.commands.main', 'benchmark', '--list=gpu']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0 and '--part=1: ' in result.stdout, result.stderr
    assert 'plan of pendulum N=65536' in result.stdout


def test_long_turns_end_after_the_fewest_rounds():
    timings = take_turns({'long': lambda: jnp.zeros(1)}, 20, enough=0.0)
    assert len(timings['long'].seconds) == FEWEST
