"""Run directories that somebody else made: nothing of them is executed, or taken at its word."""

import contextlib
import json
import os
import pickle

import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, RunError, TaskError
from mpq_jax.config import Batch
from mpq_jax.report import read_directory, write_report
from mpq_jax.runs import checkpoint
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import make_programs
from tests import report_files
from tests.conftest import tiny_lq_config

CONFIG = tiny_lq_config()


@pytest.fixture(scope='module')
def programs():
    return make_programs(CONFIG)


def save(path, config, programs, record=None):
    """A checkpoint of a fresh state that says it is of CONFIG."""
    counters = {'env_steps': [0] * CONFIG.num_seeds}
    state = programs.initial_state()
    checkpointer = checkpoint.Checkpointer(path)
    checkpointer.save(checkpoint.Checkpoint(1, state, counters, Batch.of(config)))
    checkpointer.close()
    [written] = path.glob('episode_1/record/*metadata*')
    content = json.loads(written.read_text()) | (record or {})
    del content['digest']  # of what was written by accident; whoever forges it makes a new one
    written.write_text(json.dumps(content))


def restored(path, programs):
    checkpointer = checkpoint.Checkpointer(path)
    try:
        return checkpointer.restore(programs.state_shapes(), CONFIG)
    finally:
        checkpointer.close()


def test_an_honest_checkpoint_is_read(tmp_path, programs):
    save(tmp_path, CONFIG, programs)
    saved, problems = restored(tmp_path, programs)
    assert saved is not None and saved.episode == 1 and not problems


@pytest.mark.parametrize(
    ('record', 'message'),
    [
        ({'filled': 10**15}, 'filled = 1000000000000000 must be from 0 to 25'),
        ({'filled': -1}, 'filled = -1 must be'),
        ({'filled': '../../x'}, 'filled = .* must be'),
        ({'counters': {'env_steps': [1]}}, 'counters.env_steps must be 2 counts'),
        ({'counters': {'env_steps': [0, 'x']}}, 'counters.env_steps must be 2 counts'),
        ({'counters': 7}, 'no checkpoint can be read'),
        ({'config': [1, 2]}, 'no checkpoint can be read'),
    ],
)
def test_a_record_is_not_taken_at_its_word(tmp_path, programs, record, message):
    save(tmp_path, CONFIG, programs, record)
    with pytest.raises(RunError, match=message):
        restored(tmp_path, programs)


@pytest.mark.parametrize(
    'fields', [{'learner.hidden_width': 500}, {'learner.buffer_capacity': 50_000}, {'num_seeds': 5}]
)
def test_arrays_of_other_shapes_are_refused(tmp_path, programs, fields):
    other = make_programs(mpq_jax.set_fields(CONFIG, fields))
    filled = 30_000 if 'learner.buffer_capacity' in fields else 1
    state = other.initial_state()
    state = state._replace(buffer=state.buffer._replace(size=state.buffer.size + filled))
    other.initial_state = lambda: state
    save(tmp_path, CONFIG, other, {'filled': 25})
    with pytest.raises(RunError, match='no checkpoint can be read'):
        restored(tmp_path, programs)


class Marks:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_never_loaded(tmp_path, programs):
    save(tmp_path / 'run', CONFIG, programs)
    bomb = pickle.dumps(Marks(tmp_path / 'exploded'))
    for file in [f for f in (tmp_path / 'run' / 'episode_1').rglob('*') if f.is_file()]:
        content = file.read_bytes()
        file.write_bytes(bomb)
        with contextlib.suppress(RunError, ConfigError):
            restored(tmp_path / 'run', programs)
        assert not (tmp_path / 'exploded').exists()
        file.write_bytes(content)
    with pytest.raises(FileExistsError):  # the bomb is live
        (tmp_path / 'exploded').mkdir()
        pickle.loads(bomb)


@pytest.mark.parametrize('task', ['os:abort', 'subprocess:Popen', 'multiprocessing.util:_exit'])
def test_a_config_cannot_call_the_standard_library(tmp_path, task):
    """Nor anything else (`test_named_tasks`), and this not even where the user repeats it."""
    run = RunDirectory(tmp_path / 'run')
    run.create(CONFIG)
    config = json.loads(run.config_file.read_text()) | {'task': task}
    run.config_file.write_text(json.dumps(config))
    with pytest.raises(TaskError, match='must be your own, not the standard library'):
        mpq_jax.evaluate(run.path, task=task)


@pytest.mark.parametrize(
    'fields', [{'num_seeds': 10**9}, {'learner.buffer_capacity': 10**11}, {'episodes': '1'}]
)
def test_a_config_of_giant_arrays_or_wrong_types_is_refused_at_once(tmp_path, fields):
    run = RunDirectory(tmp_path / 'run')
    run.create(CONFIG)
    config = json.loads(run.config_file.read_text())
    for name, value in fields.items():
        *section, field = name.split('.')
        (config[section[0]] if section else config)[field] = value
    run.config_file.write_text(json.dumps(config))
    run.checkpoints.mkdir()
    with pytest.raises((ConfigError, RunError), match=f'{next(iter(fields))} = .* must be'):
        mpq_jax.evaluate(run.path, task=CONFIG.task)


@pytest.fixture
def secret(tmp_path):
    """A file beside the run that nobody wants to see in a report of it."""
    (tmp_path / 'secrets').mkdir()
    file = tmp_path / 'secrets' / 'plot.png'
    file.write_bytes(b'not for you')
    return file


def test_a_report_shows_no_figure_that_a_link_points_to(tmp_path, secret):
    run = report_files.write_run_with_baseline(tmp_path / 'run')
    honest = len(read_directory(run).figures)
    links = [run / 'plot.png', run / 'replay.gif', run / 'baselines' / 'mppi_h4' / 'plot.png']
    for link in links:
        link.symlink_to(secret)
    (run / 'own_link.png').symlink_to(run / 'episode.png')
    (run / 'baselines' / 'elsewhere').symlink_to(secret.parent)
    report_files.write_run(tmp_path / 'another', 3)
    (run / 'baselines' / 'another').symlink_to(tmp_path / 'another')
    report = read_directory(run)
    assert len(report.figures) == honest and len(report.replays) == 2 and len(report.curves) == 2
    said = [problem for problem in report.problems if 'was not followed' in problem]
    assert len(said) == len(links) + 3
    page = write_report(run).read_text()
    assert 'bm90IGZvciB5b3U' not in page and 'plot.png is a link' in page


def test_a_report_of_a_sweep_does_not_either(tmp_path, secret):
    sweep = report_files.write_sweep(tmp_path / 'sweep')
    (sweep / 'final.png').symlink_to(secret)
    (sweep / 'cells' / 'planner.horizon=1' / 'replay.gif').symlink_to(secret)
    report = read_directory(sweep)
    assert len(report.problems) == 2 and not report.replays
    assert all('was not followed' in problem for problem in report.problems)


def test_a_report_reads_no_settings_through_a_link(tmp_path, secret):
    run = report_files.write_run_with_baseline(tmp_path / 'run')
    secret.write_text('{"token": "not for you"}')
    (run / 'manifest.json').unlink()
    (run / 'manifest.json').symlink_to(secret)
    page = write_report(run).read_text()
    assert 'not for you' not in page and 'manifest.json is a link' in page
    (run / 'config.json').unlink()
    (run / 'config.json').symlink_to(secret)
    with pytest.raises(RunError, match=r'config\.json is a link'):
        write_report(run)
