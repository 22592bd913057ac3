"""Checkpoints: only the filled part of the buffer, and damage that is noticed."""

import logging
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import RunError
from mpq_jax.config import Batch
from mpq_jax.learning import replay_buffer
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from mpq_jax.training.assembly import make_programs
from tests.conftest import tiny_lq_config
from tests.entry_points import ROOT

CONFIG = tiny_lq_config()  # two members, a buffer of 25
BATCH = Batch(CONFIG)


@pytest.fixture(scope='module')
def programs():
    return make_programs(CONFIG)


@pytest.fixture(scope='module')
def start(programs):
    return programs.initial_state()


def checkpoints_of(start, lengths):
    """Checkpoints of a run whose episodes store so many transitions `[E, B]`."""
    rng = np.random.default_rng(0)
    state, stored = start, np.zeros(2, int)
    for episode, counts in enumerate(lengths, 1):
        transitions = jax.tree.map(
            lambda x: (
                jnp.asarray(rng.normal(size=(2, 10, *x.shape[2:])) > 0)
                if x.dtype == bool
                else jnp.asarray(rng.normal(size=(2, 10, *x.shape[2:])), x.dtype)
            ),
            state.buffer.storage,
        )
        valid = np.arange(10) < np.array(counts)[:, None]
        buffer = jax.vmap(replay_buffer.add)(state.buffer, transitions, valid)
        state, stored = state._replace(buffer=buffer), stored + counts
        yield Checkpoint(episode, state, {'env_steps': stored.tolist()}, BATCH)


def restored(path, programs, config=CONFIG):
    checkpointer = Checkpointer(path / 'checkpoints')
    try:
        return checkpointer.restore(programs.state_shapes(), config)
    finally:
        checkpointer.close()


def assert_equal(saved, wanted):
    assert saved.episode == wanted.episode and saved.counters == wanted.counters
    pairs = zip(jax.tree.leaves(saved.state), jax.tree.leaves(wanted.state), strict=True)
    for left, right in pairs:
        if jax.dtypes.issubdtype(left.dtype, jax.dtypes.prng_key):
            left, right = jax.random.key_data(left), jax.random.key_data(right)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


LENGTHS = [(10, 10), (10, 3), (0, 0), (10, 10), (7, 10), (10, 10), (1, 0), (10, 9), (10, 10)]


def test_any_sequence_of_episodes_comes_back(start, programs, tmp_path):
    """Members of different lengths, over the ring's end; also where a new process saves."""
    checkpointer = Checkpointer(tmp_path / 'checkpoints')
    for checkpoint in checkpoints_of(start, LENGTHS):
        if checkpoint.episode % 3 == 0:
            checkpointer.close()
            checkpointer = Checkpointer(tmp_path / 'checkpoints')
            checkpointer.restore(programs.state_shapes(), CONFIG)
        checkpointer.save(checkpoint)
        checkpointer.wait()
        saved, problems = restored(tmp_path, programs)
        assert problems == []
        assert_equal(saved, checkpoint)
        assert len(list((tmp_path / 'checkpoints').iterdir())) <= 2
    checkpointer.close()


def test_room_that_is_not_filled_is_not_written(start, programs, tmp_path):
    roomy = mpq_jax.set_fields(CONFIG, {'learner.buffer_capacity': 100_000})
    state = make_programs(roomy).initial_state()
    [checkpoint] = checkpoints_of(state, LENGTHS[:1])
    checkpointer = Checkpointer(tmp_path / 'checkpoints')
    checkpointer.save(checkpoint._replace(batch=Batch(roomy)))
    checkpointer.close()
    written = sum(f.stat().st_size for f in tmp_path.rglob('*') if f.is_file())
    assert written < 0.1 * sum(x.nbytes for x in jax.tree.leaves(state.buffer.storage))


@pytest.fixture
def run(start, tmp_path):
    checkpointer = Checkpointer(tmp_path / 'checkpoints')
    checkpoints = list(checkpoints_of(start, LENGTHS[:4]))
    for checkpoint in checkpoints:
        checkpointer.save(checkpoint)
    checkpointer.close()
    return tmp_path, checkpoints


def truncate(content):
    return content[: len(content) // 2]


def flip(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def files_of(checkpoint):
    return sorted(file for file in checkpoint.rglob('*') if file.is_file())


@pytest.mark.parametrize('damage', [truncate, lambda content: b'', flip, None])
def test_a_damaged_latest_checkpoint_is_skipped_or_whole_all_the_same(run, programs, damage):
    """Each file in turn: what was saved comes back, or the one before does and a message."""
    path, checkpoints = run
    latest = path / 'checkpoints' / 'episode_4'
    skipped = []
    for file in files_of(latest):
        content = file.read_bytes()
        file.unlink() if damage is None else file.write_bytes(damage(content))
        saved, problems = restored(path, programs)
        file.write_bytes(content)
        assert_equal(saved, checkpoints[2 if problems else 3])
        if problems:
            assert len(problems) == 1 and 'episode_4' in problems[0] and 'skipped' in problems[0]
            skipped.append(file)
    data = {
        file for file in files_of(latest) if file.parent == latest / 'state' / 'd'
    }  # the arrays
    assert data and data <= set(skipped)


def test_a_record_that_changed_by_itself_is_not_believed(run, programs):
    """A digit of a setting: another config to the letter, and yet none that anybody ran."""
    path, checkpoints = run
    [file] = (path / 'checkpoints' / 'episode_4' / 'record').glob('*metadata*')
    file.write_text(file.read_text().replace('"num_states": 16', '"num_states": 17'))
    saved, problems = restored(path, programs)
    assert_equal(saved, checkpoints[2])
    assert len(problems) == 1 and 'its record is damaged' in problems[0]


FULL = [
    OSError(28, 'No space left on device'),
    ValueError('RESOURCE_EXHAUSTED: Error writing "k" in OCDBT database at local file "d/k"'),
    ValueError(f'Error writing {600 * "k"} [OS error: No space left on device]'),
    ValueError('Error writing "k"\nNo space left on device'),
]


@pytest.mark.parametrize('error', FULL)
def test_a_checkpoint_that_fails_leaves_the_one_before(run, programs, monkeypatch, error):
    """Whatever a storage library calls a full disk."""
    path, checkpoints = run
    checkpointer = Checkpointer(path / 'checkpoints')
    checkpointer.restore(programs.state_shapes(), CONFIG)

    def full(*args, **kwargs):
        raise error

    monkeypatch.setattr(checkpointer._manager, 'save', full)
    with pytest.raises(RunError, match=r'checkpoints cannot be written.*No space left on'):
        checkpointer.save(checkpoints[3]._replace(episode=5))
    checkpointer.close()
    assert sorted(p.name for p in (path / 'checkpoints').iterdir()) == ['episode_3', 'episode_4']
    assert_equal(restored(path, programs)[0], checkpoints[3])


def test_what_may_change_is_accepted_and_what_may_not_is_named(run, programs):
    path, checkpoints = run
    may = {'episodes': 99, 'training.checkpoint_interval': 7, 'training.max_restores': 1}
    saved, _ = restored(path, programs, mpq_jax.set_fields(CONFIG, may))
    assert_equal(saved, checkpoints[3])
    for field, value in (('num_seeds', 3), ('planner.discount', 0.5)):
        with pytest.raises(ValueError, match=rf'{field} = {value}.*with which the checkpoint'):
            restored(path, programs, mpq_jax.set_fields(CONFIG, {field: value}))


OF_ANOTHER_DEVICE = """
import sys
from pathlib import Path
import jax
from mpq_jax.config import Batch
from mpq_jax.training.assembly import make_programs
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from tests.conftest import tiny_lq_config

state = make_programs(tiny_lq_config()).initial_state()
state = jax.device_put(state, jax.devices()[1])
checkpointer = Checkpointer(Path(sys.argv[1]))
checkpointer.save(Checkpoint(1, state, {'env_steps': [0, 0]}, Batch(tiny_lq_config())))
checkpointer.close()
"""


def test_a_checkpoint_of_a_device_that_is_not_here_is_read(start, programs, tmp_path):
    """As one from a GPU on a machine without: here the second device of a process that had two."""
    flags = os.environ.get('XLA_FLAGS', '') + ' --xla_force_host_platform_device_count=2'
    subprocess.run(
        [sys.executable, '-c', OF_ANOTHER_DEVICE, tmp_path / 'checkpoints'],
        cwd=ROOT, env=os.environ | {'XLA_FLAGS': flags}, check=True,
    )  # fmt: skip
    saved, problems = restored(tmp_path, programs)
    assert problems == []
    assert_equal(saved, Checkpoint(1, start, {'env_steps': [0, 0]}, BATCH))
    assert {x.device for x in jax.tree.leaves(saved.state)} == {jax.devices()[0]}


def test_others_are_heard_in_the_logger_that_orbax_writes_to(start, programs, tmp_path, caplog):
    logger = logging.getLogger('absl')
    before = logger.level, list(logger.filters)
    checkpointer = Checkpointer(tmp_path / 'checkpoints')
    for checkpoint in checkpoints_of(start, LENGTHS[:2]):
        checkpointer.save(checkpoint)
    checkpointer.wait()
    (tmp_path / 'checkpoints' / 'episode_2' / '_CHECKPOINT_METADATA').write_text('damaged')
    logger.warning('somebody speaks')
    checkpointer.close()
    restored(tmp_path, programs)  # at which Orbax has something to say
    heard = [record.getMessage() for record in caplog.records if record.name == 'absl']
    assert heard == ['somebody speaks']
    assert (logger.level, logger.filters) == before
