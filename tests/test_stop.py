"""Hardware comes to rest whenever nothing will drive it soon, however that came about."""

import io
import os
import re
import signal
import threading
import time

import pytest
from rich.console import Console

import mpq_jax
from mpq_jax.base import interrupts
from mpq_jax.base.validation import RunError
from mpq_jax.environments.guarded_system import RealSystemError
from mpq_jax.runs.checkpoint import Checkpointer
from mpq_jax.runs.metrics import read_rows
from tests.test_run_faults import GOOD, FaultySystem, Scripted, guarded, own_config, raises

STEPS = 10


class Stopping(FaultySystem):
    """Notes what is called, in one log for all that share it."""

    def __init__(self, log, faults=(), name=''):
        super().__init__(dict(faults))
        self.log, self.name = log, name

    def reset(self, key):
        self.log.append(f'reset{self.name}')
        return super().reset(key)

    def step(self, action):
        self.log.append(f'step{self.name}')
        return super().step(action)

    def stop(self):
        self.log.append(f'stop{self.name}')


class Unstoppable(Stopping):
    def stop(self):
        super().stop()
        raise ConnectionError('no brake')


def one_seed(**changes):
    return own_config(num_seeds=1, **{'episodes': 2, 'training.real_system_retries': 0} | changes)


def test_a_system_stops_after_each_episode_and_at_the_end(tmp_path):
    log, episode = [], ['reset', *['step'] * STEPS, 'stop']
    run = mpq_jax.train(one_seed(), tmp_path / 'run', real_systems=[Stopping(log)])
    assert log == [*episode * 2, 'stop']
    log.clear()
    mpq_jax.evaluate(run.path, 2, real_systems=[Stopping(log)])
    assert log == [*episode * 2, 'stop']


def test_a_system_whose_episode_ends_early_does_not_wait_for_the_others(tmp_path):
    log = []
    systems = [Stopping(log, {(0, 3): raises}, ' 0'), Stopping(log, name=' 1')]
    config = own_config(episodes=1)
    mpq_jax.train(
        config, tmp_path / 'run', real_systems=systems, console=Console(file=io.StringIO())
    )
    assert log.index('stop 0') < log.index('stop 1')
    assert log[log.index('stop 0') :].count('step 1') >= STEPS - 5


def test_a_failure_of_one_stops_all_before_anything_is_saved(tmp_path, monkeypatch):
    log, save = [], Checkpointer.save
    monkeypatch.setattr(Checkpointer, 'save', lambda *a: (log.append('save'), save(*a)))
    systems = [Stopping(log, {(1, 4): raises}, ' 0'), Unstoppable(log, name=' 1')]
    config = own_config(**{'training.real_system_retries': 0, 'training.checkpoint_interval': 9})
    said = io.StringIO()
    with pytest.raises(RunError, match=r'(?s)cable out.*after episode 1 of 6'):
        mpq_jax.train(
            config, tmp_path / 'run', real_systems=systems, console=Console(file=said, width=200)
        )
    until_then = [*reversed(log[: log.index('save')])]
    for name in '01':  # the last that each was told
        assert until_then.index(f'stop {name}') < until_then.index(f'step {name}')
    assert log[-1] == 'save'
    assert 'real system 1: stop failed (ConnectionError: no brake)' in said.getvalue()


def test_an_evaluation_that_fails_stops_all(tmp_path):
    log = []
    run = mpq_jax.train(one_seed(), tmp_path / 'run', real_systems=[Stopping([])])
    with pytest.raises(RunError, match='cable out'):
        mpq_jax.evaluate(run.path, 1, real_systems=[Stopping(log, {(0, 4): raises})])
    assert log == ['reset', *['step'] * 5, 'stop']


def test_a_process_that_has_to_leave_stops_what_moves(tmp_path, monkeypatch):
    log = []
    monkeypatch.setattr(os, '_exit', lambda code: log.append(f'exit {code}'))

    def leaves(measurement):
        interrupts._leave(signal.SIGTERM, threading.Event())

    with pytest.raises(RunError, match='was stopped'):
        mpq_jax.train(one_seed(), tmp_path / 'run', real_systems=[Stopping(log, {(0, 2): leaves})])
    deadline = time.monotonic() + 20
    while 'exit 143' not in log and time.monotonic() < deadline:  # said by the thread that leaves
        time.sleep(0.01)
    assert log[:6] == ['reset', *['step'] * 3, 'stop', 'exit 143']


class Hanging:
    """Hangs in a step until it is let go."""

    def __init__(self):
        self.log, self.let_go, self.entered = [], threading.Event(), threading.Event()

    def step(self, action):
        self.log.append(action)
        self.entered.set()
        self.let_go.wait(20)

    def stop(self):
        self.log.append('stop')


def test_a_system_that_is_closed_takes_no_step_that_was_queued():
    own = Hanging()
    system, _ = guarded(own, timeout=0, retries=9)
    raised = []

    def drive(action):
        try:
            system.step(action)
        except RealSystemError as error:
            raised.append(error)

    drivers = [threading.Thread(target=drive, args=(name,), daemon=True) for name in 'ab']
    for driver in drivers:
        driver.start()
        assert own.entered.wait(5)
    while system._calls.empty():  # b stands behind a
        time.sleep(0.01)
    begin = time.monotonic()
    system.close()
    assert own.log == ['a', 'stop'] and time.monotonic() - begin < 3
    own.let_go.set()
    system._server.join(5)
    assert own.log == ['a', 'stop', 'stop']  # what hung may have moved it
    with pytest.raises(RealSystemError, match='arm was stopped'):
        system.step('c')
    for driver in drivers:
        driver.join(0.1)
    assert raised and 'was stopped' in str(raised[0])


def test_a_stop_that_hangs_keeps_nobody_waiting(monkeypatch):
    own, forever = Hanging(), threading.Event()
    own.stop = forever.wait
    system, said = guarded(own)
    monkeypatch.setattr('mpq_jax.environments.guarded_system._STOP_SECONDS', 0.1)
    system.close()
    forever.set()
    assert said == ['arm: stop failed (no answer within 0.1 s)']


def signals(measurement):
    os.kill(os.getpid(), signal.SIGINT)
    return measurement


def test_a_stop_is_heard_between_control_steps_and_the_episode_is_played_again(tmp_path):
    log, config = [], one_seed(episodes=3)
    with pytest.raises(mpq_jax.Stopped, match=r'after episode 1 of 3.*resume=True') as stopped:
        mpq_jax.train(config, tmp_path / 'run', real_systems=[Stopping(log, {(1, 3): signals})])
    assert stopped.value.exit_code == 130
    advice = re.search(r'continue with (mpq_jax\.train\(.*\))', str(stopped.value)).group(1)
    assert log == ['reset', *['step'] * STEPS, 'stop', 'reset', *['step'] * 4, 'stop']
    log.clear()
    again = eval(advice, {'mpq_jax': mpq_jax, 'config': config, 'real_systems': [Stopping(log)]})
    assert log.count('reset') == 2
    whole = mpq_jax.train(config, tmp_path / 'whole', real_systems=[Stopping([])])
    names = ('episode', 'return', 'q_loss', 'env_steps')
    rows = [[[row[n] for n in names] for row in read_rows(r.metrics_file)] for r in (again, whole)]
    assert rows[0] == rows[1]


def test_a_stop_within_a_validation_takes_its_episode_alone(tmp_path):
    """Nine episodes within a second, of which none is saved for its own sake; then the tenth."""
    fields = {'training.validation_episodes': 1, 'training.validation_interval': 9}
    config = one_seed(episodes=10, **fields, **{'training.checkpoint_interval': 0})
    systems = [Stopping([], {(9, 2): signals})]
    with pytest.raises(mpq_jax.Stopped, match='after episode 8 of 10'):
        mpq_jax.train(config, tmp_path / 'run', real_systems=systems)


def test_an_evaluation_that_is_stopped_stops_the_system(tmp_path):
    log, run = [], mpq_jax.train(one_seed(), tmp_path / 'run', real_systems=[Stopping([])])
    with pytest.raises(mpq_jax.Stopped, match='no evaluation was written'):
        mpq_jax.evaluate(run.path, 2, real_systems=[Stopping(log, {(0, 2): signals})])
    assert log == ['reset', *['step'] * 3, 'stop'] and not run.evaluation_file.exists()


def test_a_forgotten_return_is_a_failure_and_a_wanted_end_is_none():
    def over():
        raise mpq_jax.EpisodeEnded

    system, said = guarded(Scripted(GOOD, lambda: None, GOOD, over))
    system.reset(None)
    assert system.step(None) is None
    assert 'it returned None: is a `return` missing?' in said[0] and 'retry 1 of 2' in said[0]
    system.reset(None)
    assert system.step(None) is None and len(said) == 1
