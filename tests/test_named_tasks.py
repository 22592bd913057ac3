"""Tasks that files of runs name: their code runs where the user named it, and not before."""

import json
import sys

import pytest

import mpq_jax
from mpq_jax.base import trust
from mpq_jax.base.validation import RunError, TaskError
from mpq_jax.report import write_report
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep import run_sweep
from mpq_jax.sweep.grid import Grid
from mpq_jax.sweep.sweep_directory import SweepDirectory
from tests.conftest import tiny_lq_config
from tests.entry_points import run

OWN = 'tests.conftest:lq_task'
# Says that it was imported, and that its function was called.
EVIL = """
from pathlib import Path
Path(__file__).with_name('imported').touch()
def make():
    Path(__file__).with_name('called').touch()
"""


@pytest.fixture(autouse=True)
def a_process_that_named_nothing(monkeypatch):
    monkeypatch.setattr(trust, '_named', set())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    return mpq_jax.train(tiny_lq_config(episodes=1), tmp_path_factory.mktemp('own') / 'run').path


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """A run, and the working directory, that brings the module its config names."""
    run = RunDirectory(tmp_path / 'run')
    run.create(tiny_lq_config())
    trust._named.clear()
    config = json.loads(run.config_file.read_text()) | {'task': 'evil_task:make'}
    run.config_file.write_text(json.dumps(config))
    run.checkpoints.mkdir()
    (run.path / 'evil_task.py').write_text(EVIL)
    monkeypatch.chdir(run.path)
    monkeypatch.syspath_prepend(str(run.path))
    yield run
    assert not (run.path / 'imported').exists() and 'evil_task' not in sys.modules


def resume(run_dir, task=None):
    return mpq_jax.train(RunDirectory(run_dir).read_config(task), run_dir, resume=True)


READERS = [mpq_jax.evaluate, mpq_jax.load_controller, resume]


@pytest.mark.parametrize('read', READERS)
def test_a_run_does_not_say_what_to_import(hostile, read):
    with pytest.raises(RunError) as error:
        read(hostile.path)
    assert '--task=evil_task:make' in str(error.value)
    assert "task='evil_task:make'" in str(error.value)


@pytest.mark.parametrize('read', READERS)
def test_a_module_of_the_run_directory_is_not_imported_even_if_named(hostile, read):
    with pytest.raises(RunError, match='lies in the run directory'):
        read(hostile.path, task='evil_task:make')


def test_a_report_needs_no_task(hostile):
    write_report(hostile.path)
    assert run('report', f'--run_dir={hostile.path}').returncode == 0


def test_a_module_elsewhere_is_imported_where_it_is_named(hostile, tmp_path, monkeypatch):
    """What keeps the module above from being imported is not that it could not be."""
    (tmp_path / 'elsewhere').mkdir()
    (hostile.path / 'evil_task.py').rename(tmp_path / 'elsewhere' / 'evil_task.py')
    monkeypatch.syspath_prepend(str(tmp_path / 'elsewhere'))
    with pytest.raises(TaskError, match='must return a Task'):
        mpq_jax.evaluate(hostile.path, task='evil_task:make')
    assert (tmp_path / 'elsewhere' / 'called').exists()
    del sys.modules['evil_task']


@pytest.mark.parametrize('read', READERS)
def test_a_run_of_ones_own_task_asks_for_it_once(trained, read):
    with pytest.raises(RunError, match=f'--task={OWN}'):
        read(trained)
    with pytest.raises(RunError, match=f"task = 'pendulum' is not that of .*it must be '{OWN}'"):
        read(trained, task='pendulum')
    read(trained, task=OWN)
    read(trained)


def test_a_preset_names_its_task(trained):
    config = mpq_jax.preset(OWN)
    assert RunDirectory(trained).read_config().task == config.task == OWN


@pytest.mark.parametrize('task', ['evil:make; rm -rf ~', 'a b:make', ':make', 'evil:', 'x:y.z'])
def test_what_is_no_name_is_not_advised(trained, task):
    with pytest.raises(TaskError, match='it must be module:factory'):
        trust.check_named(task, trained / 'config.json', given=task)


def test_the_advice_of_a_stop_can_be_followed(trained):
    run = RunDirectory(trained)
    own, built_in = tiny_lq_config(), mpq_jax.preset('pendulum')
    assert run.how_to_resume(own) == f'--run_dir={trained} --resume --task={OWN}'
    assert run.how_to_resume(built_in) == f'--run_dir={trained} --resume'
    with pytest.raises(RunError, match=f'--resume --task={OWN}'):
        mpq_jax.train(own, trained)


def test_a_sweep_does_not_say_what_to_import(tmp_path):
    directory = SweepDirectory(tmp_path)
    for fixed, point in (
        ({'task': 'evil:make'}, {}),
        ({'task': 'pendulum'}, {'task': 'evil:make'}),
    ):
        cells = [{'directory': 'cells/all', 'configurations': [point]}]
        directory.sweep_file.write_text(json.dumps({'fixed': fixed, 'cells': cells}))
        with pytest.raises(RunError, match='--task=evil:make'):
            print(directory.task, directory.points)


def test_a_sweep_of_ones_own_task_goes_on(tmp_path):
    fields = {'task': OWN, 'agent': 'none', 'belief.num_draws': 1}
    fields |= {'num_seeds': 1, 'training.validation_episodes': 0}
    for episodes in (1, 2):
        trust._named.clear()
        grid = Grid.of(fields | {'episodes': episodes}, ({'planner.horizon': 1},))
        directory = run_sweep(grid, tmp_path / 'sweep')
    assert directory.run('planner.horizon=1').finished_episodes == 2
    assert directory.points == [{'planner.horizon': 1}] and directory.task == OWN
