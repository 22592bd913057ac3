"""Checkpoints: the buffer in parts, damage that is noticed, sizes that stay bounded."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax import buffer_files, overrides, replay_buffer
from mpq_jax.assembly import make_programs
from mpq_jax.checkpoint import Checkpoint, Checkpointer
from mpq_jax.validation import RunError
from tests.conftest import tiny_lq_config

CONFIG = tiny_lq_config()  # two members, a buffer of 25


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
        yield Checkpoint(episode, state, {'env_steps': stored.tolist()}, CONFIG)


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


@pytest.mark.parametrize('every', [1, 2, 3])
@pytest.mark.parametrize('anew', [False, True])
def test_any_sequence_of_episodes_comes_back(start, programs, tmp_path, monkeypatch, every, anew):
    """Members of different lengths, over the ring's end; also if each save is by a new process."""
    monkeypatch.setattr(buffer_files, '_MOST_FILES', 3)
    checkpointer = Checkpointer(tmp_path / 'checkpoints')
    for checkpoint in checkpoints_of(start, LENGTHS):
        if checkpoint.episode % every:
            continue
        if anew:
            checkpointer.close()
            checkpointer = Checkpointer(tmp_path / 'checkpoints')
            checkpointer.restore(programs.state_shapes(), CONFIG)
        checkpointer.save(checkpoint)
        checkpointer.wait()
        saved, problems = restored(tmp_path, programs)
        assert problems == []
        assert_equal(saved, checkpoint)
        assert len(list((tmp_path / 'buffer').iterdir())) <= 3 + 2
        assert len(list((tmp_path / 'checkpoints').iterdir())) <= 2
    checkpointer.close()


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


@pytest.mark.parametrize('damage', [truncate, lambda content: b'', flip, None])
@pytest.mark.parametrize('what', ['state.npz', 'record.json', 'buffer'])
def test_a_damaged_latest_checkpoint_is_named_and_skipped(run, programs, damage, what):
    path, checkpoints = run
    latest = path / 'checkpoints' / 'episode_4'
    file = next((path / 'buffer').glob('new_4_*')) if what == 'buffer' else latest / what
    if damage is None:
        file.unlink()
    elif damage is flip and what == 'record.json':
        file.write_text(file.read_text().replace('"file"', '"fole"'))
    else:
        file.write_bytes(damage(file.read_bytes()))
    saved, problems = restored(path, programs)
    assert_equal(saved, checkpoints[2])
    assert len(problems) == 1 and 'episode_4' in problems[0] and 'skipped' in problems[0]


def test_a_checkpoint_that_fails_leaves_the_one_before(run, programs, monkeypatch, start):
    path, checkpoints = run
    checkpointer = Checkpointer(path / 'checkpoints')
    checkpointer.restore(programs.state_shapes(), CONFIG)

    def full(*args):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('mpq_jax.checkpoint.write_arrays', full)
    checkpointer.save(checkpoints[3]._replace(episode=5))
    with pytest.raises(RunError, match=r'episode_5 cannot be written.*No space.*one before stands'):
        checkpointer.wait()
    checkpointer.close()
    assert sorted(p.name for p in (path / 'checkpoints').iterdir()) == ['episode_3', 'episode_4']
    assert_equal(restored(path, programs)[0], checkpoints[3])


def test_what_may_change_is_accepted_and_what_may_not_is_named(run, programs):
    path, checkpoints = run
    may = {'episodes': 99, 'training.checkpoint_interval': 7, 'training.max_restores': 1}
    saved, _ = restored(path, programs, overrides.set_fields(CONFIG, may))
    assert_equal(saved, checkpoints[3])
    for field, value in (('num_seeds', 3), ('planner.discount', 0.5)):
        with pytest.raises(ValueError, match=rf'{field} = {value}.*with which the checkpoint'):
            restored(path, programs, overrides.set_fields(CONFIG, {field: value}))
