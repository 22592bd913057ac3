"""Disks that fill up, directories read-only or gone: clear errors, nothing half written."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

import mpq_jax
from mpq_jax.base.progress import Reporter, make_console
from mpq_jax.base.validation import RunError
from mpq_jax.runs.events import read_events
from mpq_jax.runs.metrics import COLUMNS, MetricsWriter, read_rows
from tests.conftest import tiny_lq_config
from tests.entry_points import ROOT

OWN_MOUNTS = ['unshare', '-rm']


class After(Reporter):
    """Does something after an episode."""

    def __init__(self, episode, action):
        super().__init__('run', 5, make_console())
        self._episode, self._action = episode, action

    def advance(self, done, *_):
        if done == self._episode:
            self._action()


def row(seed, episode):
    return dict.fromkeys(COLUMNS, 1.0) | {'variant': 0, 'seed': seed, 'episode': episode}


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    return mpq_jax.train(tiny_lq_config(episodes=5), tmp_path_factory.mktemp('whole') / 'run')


@pytest.fixture(scope='module')
def on_tmpfs(tmp_path_factory):
    trial = [*OWN_MOUNTS, 'mount', '-t', 'tmpfs', 'tmpfs', str(tmp_path_factory.mktemp('trial'))]
    if shutil.which('unshare') is None or subprocess.run(trial, capture_output=True).returncode:
        pytest.skip('no mounts of its own may be made here')
    command = [sys.executable, '-m', 'tests.full_disk', str(tmp_path_factory.mktemp('disk'))]
    result = subprocess.run(
        [*OWN_MOUNTS, *command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def test_a_full_disk_stops_the_run_and_what_was_saved_goes_on(on_tmpfs, whole):
    assert 'No space left on device' in on_tmpfs['full'] and '--resume' in on_tmpfs['full']
    [latest] = re.findall(r'stopped after episode (\d) of 5', on_tmpfs['full'])
    whole_ones = [name for name in on_tmpfs['checkpoints'] if re.fullmatch(r'episode_\d', name)]
    assert latest in '12' and max(whole_ones) == f'episode_{latest}'
    columns = ('seed', 'episode', 'return', 'q_loss')
    expected = [[row[name] for name in columns] for row in read_rows(whole.metrics_file)]
    assert on_tmpfs['rows'] == expected


def test_a_csv_on_a_full_disk_holds_whole_episodes(on_tmpfs):
    found = on_tmpfs['csv']
    assert 'metrics.csv cannot be written' in found['message'] and not found['torn']
    assert found['rows'] == found['whole'] > 0


def test_a_directory_that_cannot_be_written_is_named(on_tmpfs):
    assert "other' cannot be written" in on_tmpfs['full at start']
    assert 'Read-only file system' in on_tmpfs['read-only']
    assert "third' cannot be written" in on_tmpfs['read-only at start']


def test_a_run_directory_deleted_under_a_run_stops_it(tmp_path):
    path = tmp_path / 'run'
    gone = After(2, lambda: path.rename(tmp_path / 'gone'))  # at once, unlike rmtree
    with pytest.raises(RunError, match=r'run/(metrics\.csv|checkpoints\S*) cannot be written'):
        mpq_jax.train(tiny_lq_config(episodes=5), path, reporter=gone)
    assert not (path / 'metrics.csv').exists()


def test_metrics_replaced_under_a_run_stop_it(tmp_path):
    writer = MetricsWriter(tmp_path / 'metrics.csv', tmp_path / 'events', 0)
    (tmp_path / 'metrics.csv').unlink()
    (tmp_path / 'metrics.csv').write_text("another program's\n")
    with pytest.raises(RunError, match='replaced while the run wrote to it'):
        writer.write([row(0, 0)])
    writer.close()
    assert (tmp_path / 'metrics.csv').read_text() == "another program's\n"


def test_events_can_be_done_without(tmp_path):
    (tmp_path / 'events').write_text('in the way')
    said = []
    writer = MetricsWriter(tmp_path / 'metrics.csv', tmp_path / 'events', 0, said.append)
    writer.write([row(0, 0)])
    writer.close()
    assert len(said) == 1 and 'TensorBoard events cannot be written' in said[0]
    assert len(read_rows(tmp_path / 'metrics.csv')) == 1


def test_no_event_stands_twice_after_a_resume(tmp_path):
    for first, last in ((0, 5), (3, 6), (6, 7)):
        writer = MetricsWriter(tmp_path / 'metrics.csv', tmp_path / 'events', first)
        for episode in range(first, last):
            writer.write([row(0, episode), row(1, episode)])
        writer.close()
        files = sorted((tmp_path / 'events').iterdir())
        assert not any(file.suffix == '.tmp' for file in files)
        files[-1].write_bytes(files[-1].read_bytes()[:-3] if last == 5 else files[-1].read_bytes())
        killed = files[-1].with_name(files[-1].name + '.17.tmp')  # as it cut the file
        killed.write_bytes(files[-1].read_bytes())
    killed.unlink()
    seen = Counter(
        (value.tag, event.step)
        for file in files
        for event in read_events(file)
        for value in event.summary.value
    )
    assert set(seen.values()) == {1}
    assert {step for tag, step in seen if tag == 'train/return'} == set(range(7))


def test_a_torn_last_row_is_no_row(tmp_path):
    writer = MetricsWriter(tmp_path / 'metrics.csv', tmp_path / 'events', 0)
    writer.write([row(0, 0), row(1, 0)])
    writer.close()
    content = (tmp_path / 'metrics.csv').read_text()
    (tmp_path / 'metrics.csv').write_text(content[:-1])  # every column there, no end of line
    assert len(read_rows(tmp_path / 'metrics.csv')) == 1
