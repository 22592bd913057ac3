"""Where tasks are checked: at every way in, once, before anything compiles."""

import os
import subprocess
import sys

import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.simulator import make_simulator
from mpq_jax.tasks import load_task, register_task
from mpq_jax.tasks.check import check_task
from mpq_jax.validation import TaskError
from tests.test_bad_tasks import cart


def wrong_cost():
    return cart(cost=lambda reading, variables, action: reading.qpos**2)


def from_a_simulator():
    make_simulator(wrong_cost())


def from_a_preset():
    mpq_jax.preset('tests.test_task_loading:wrong_cost')


def from_a_controller():
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum', 'mppi'), {'task': 'wrong'})
    register_task('wrong', wrong_cost)
    mpq_jax.make_controller(config)


def from_training():
    register_task('wrong', wrong_cost)
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum'), {'task': 'wrong'})
    mpq_jax.train(config, 'never_made')


@pytest.mark.parametrize(
    'enter', [from_a_simulator, from_a_preset, from_a_controller, from_training]
)
def test_every_way_in_checks_the_task(enter, monkeypatch):
    monkeypatch.setattr('mpq_jax.compilation._compile', lambda *args: pytest.fail('compiled'))
    with pytest.raises(TaskError, match=r"task 'cart': cost returned an array of shape \[1\]"):
        enter()


def test_the_command_line_says_so_in_one_line(tmp_path):
    ended = subprocess.run(
        [sys.executable, '-m', 'experiments.train', '--task=tests.test_task_loading:wrong_cost',
         f'--run_dir={tmp_path / "run"}'],
        capture_output=True, text=True, env=os.environ | {'JAX_PLATFORMS': 'cpu'}, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: task 'cart': cost returned") and ended.stdout == ''
    assert len(ended.stderr.splitlines()) == 1 and not (tmp_path / 'run').exists()


def test_a_task_that_failed_is_made_anew():
    cost = wrong_cost().cost
    factory = lambda: cart(cost=cost)  # noqa: E731
    register_task('edited', factory)
    with pytest.raises(TaskError, match='cost'):
        load_task('edited')
    cost = cart().cost
    kept = load_task('edited')
    assert load_task('edited') is kept
    register_task('edited', factory)
    assert load_task('edited') is not kept


def test_a_factory_that_fails_is_named():
    register_task('failing', lambda: 1 / 0)
    with pytest.raises(TaskError, match=r"task = 'failing'.*ZeroDivisionError"):
        load_task('failing')


def test_a_task_is_checked_once():
    calls = []
    task = cart(observe=lambda reading, variables: calls.append(1) or reading.qpos)
    check_task(task)
    count = len(calls)
    make_simulator(task, PhysicsConfig(backend='mujoco'))
    assert count and len(calls) == count
