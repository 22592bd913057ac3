"""Where tasks are checked: at every way in, once, before anything compiles."""

import os
import subprocess
import sys

import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.tasks import keep_tasks, load_task, register_task
from mpq_jax.tasks.check import check_task
from tests.conftest import lq_task, tiny_lq_config
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
    monkeypatch.setattr('mpq_jax.base.compilation._compile', lambda *args: pytest.fail('compiled'))
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


@pytest.fixture
def edited():
    """The factory's fields, to be changed; and the horizon in each task that it made."""
    fields, made = {}, []

    def factory():
        task = cart(**fields)
        made.append(task.settings.get('planner.horizon'))
        return task

    register_task('edited', factory)
    return fields, made


def test_what_a_factory_closes_over_may_be_edited(edited):
    fields, _ = edited
    fields['cost'] = wrong_cost().cost
    with pytest.raises(TaskError, match='cost'):
        load_task('edited')
    del fields['cost']
    for horizon in (3, 5):
        fields['settings'] = {'planner.horizon': horizon}
        assert mpq_jax.preset('edited').planner.horizon == horizon
        assert load_task('edited').settings == fields['settings']


def test_a_run_makes_its_task_once(edited, tmp_path):
    _, made = edited
    register_task('edited_lq', lambda: made.append(0) or lq_task())
    mpq_jax.train(tiny_lq_config(task='edited_lq', episodes=1), tmp_path / 'run')
    assert made == [0]
    mpq_jax.evaluate(tmp_path / 'run', 1)
    assert made == [0, 0]


def test_tasks_are_kept_where_asked_for(edited):
    _, made = edited
    with keep_tasks():
        first = load_task('edited')
        with keep_tasks():
            assert load_task('edited') is first
        assert load_task('edited') is first and len(made) == 1
        register_task('edited', cart)
        assert load_task('edited') is not first
    assert load_task('pendulum') is load_task('pendulum')  # nothing in it can change


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
