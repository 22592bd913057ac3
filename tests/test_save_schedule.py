"""When a run saves: what it costs, what a kill may lose, and that a stop loses nothing."""

import os
import signal

import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.progress import Reporter, make_console
from mpq_jax.runs.checkpoint import Checkpointer, latest_episode
from mpq_jax.runs.metrics import read_rows
from mpq_jax.runs.save_schedule import SaveSchedule
from mpq_jax.training import assembly, trainer
from tests.conftest import tiny_lq_config
from tests.test_kills import assert_same, outcome


def saves(episode_seconds, save_seconds, interval=0):
    """(seconds at which a run of such episodes saves, seconds at which each episode ends)."""
    now, last, cost, begun, ends = 0.0, 0, 0.0, [], []
    schedule = SaveSchedule(interval, lambda: now)
    for episode, seconds in enumerate(episode_seconds, 1):
        now += seconds
        ends.append(now)
        if schedule.due(episode - last, cost):
            schedule.saving()
            begun.append(now)
            last, cost = episode, save_seconds
            now += save_seconds
    return np.array(begun), np.array(ends)


@pytest.mark.parametrize('episode', [0.01, 0.3, 7.0, 50.0, 200.0])
@pytest.mark.parametrize('save', [0.0, 0.1, 2.0, 30.0])
def test_saving_is_cheap_or_else_needed(episode, save):
    """A twentieth of the time, unless a minute or an episode would be lost otherwise."""
    rng = np.random.default_rng(0)
    begun, ends = saves(episode * rng.uniform(0.9, 1.1, int(2000 / episode) + 20), save)
    assert begun[0] == ends[0]  # so that its cost is known
    apart = np.diff([*begun, ends[-1]])
    longest = 1.1 * episode
    assert apart.max() <= max(60 + 0.2 * longest, longest) + save
    needed = apart[:-1] + longest + save > 60
    assert (save <= 0.05 * apart[:-1] + 1e-9)[~needed].all()


def test_an_interval_in_episodes_is_kept():
    begun, ends = saves(np.ones(10), 5.0, interval=3)
    np.testing.assert_array_equal(begun, ends[[2, 5, 8]])


class SlowDisk(Checkpointer):
    """As if each save took as long as anything; counts them."""

    saved: list[int]
    save_seconds = 1e9

    def save(self, done):
        self.saved.append(done.episode)
        super().save(done)


class At(Reporter):
    """Does something once an episode is shown."""

    def __init__(self, episode, action):
        super().__init__('run', 6, make_console())
        self._episode, self._action = episode, action

    def advance(self, done, *_):
        if done == self._episode:
            self._action()


def fail():
    raise OSError('the terminal is gone')


CONFIG = tiny_lq_config(episodes=6, **{'training.checkpoint_interval': 0})


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / 'run'
    config = mpq_jax.set_fields(CONFIG, {'training.checkpoint_interval': 1})
    return outcome(mpq_jax.train(config, path).path, config)


@pytest.fixture
def saved(monkeypatch):
    monkeypatch.setattr('mpq_jax.training.training_loop.Checkpointer', SlowDisk)
    SlowDisk.saved = []
    programs = assembly.make_programs(CONFIG)
    monkeypatch.setattr(trainer, 'make_programs', lambda *_: programs)
    return SlowDisk.saved


def test_the_end_and_a_stop_save_what_is_done(saved, whole, tmp_path):
    def stop():
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(mpq_jax.Stopped, match='after episode 3 of 6'):
        mpq_jax.train(CONFIG, tmp_path, reporter=At(3, stop))
    mpq_jax.train(CONFIG, tmp_path, resume=True)
    assert saved == [3, 6]
    assert_same(outcome(tmp_path, CONFIG), whole)


def test_a_failure_saves_what_is_done(saved, whole, tmp_path):
    with pytest.raises(OSError, match='terminal is gone'):
        mpq_jax.train(CONFIG, tmp_path, reporter=At(4, fail))
    assert saved == [4] and latest_episode(tmp_path / 'checkpoints') == 4
    mpq_jax.train(CONFIG, tmp_path, resume=True)
    assert_same(outcome(tmp_path, CONFIG), whole)


def test_a_failure_in_a_program_leaves_the_checkpoint_before(saved, whole, tmp_path, monkeypatch):
    """The state went into the program: what comes after the checkpoint is done again, the same."""
    programs = trainer.make_programs(CONFIG)
    learn = programs.learn

    def breaks(state, episode):
        if episode == 4:
            raise mpq_jax.RunError('the device is gone')
        return learn(state, episode)

    monkeypatch.setattr(programs, 'learn', breaks)
    with pytest.raises(mpq_jax.RunError, match='device is gone\nstopped after episode 0 of 6'):
        mpq_jax.train(CONFIG, tmp_path)
    assert len(read_rows(tmp_path / 'metrics.csv')) == 2 * 4
    monkeypatch.undo()
    mpq_jax.train(CONFIG, tmp_path, resume=True)
    assert_same(outcome(tmp_path, CONFIG), whole)
