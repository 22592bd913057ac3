"""Real systems that fail and Q that diverges: what is lost, what is kept, when a run gives up."""

import io
import json
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import mpq_jax
from mpq_jax.base.validation import ConfigError, NothingLearnedError, RunError
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.guarded_system import GuardedSystem, RealSystemError
from mpq_jax.environments.real_system import Measurement, SimulatedSystem
from mpq_jax.runs.checkpoint import Checkpointer
from mpq_jax.runs.metrics import read_rows, read_table
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import make_programs
from tests.conftest import broken_task, lq_task, tiny_lq_config


class FaultySystem:
    """The linear-quadratic system, but for what happens at (episode, step)."""

    def __init__(self, faults):
        self._system, self._faults = SimulatedSystem(make_simulator(lq_task())), faults
        self.task = self._system.task
        self._episode, self._step = -1, 0

    def reset(self, key):
        self._episode, self._step = self._episode + 1, 0
        return self._system.reset(key)

    def step(self, action):
        fault = self._faults.get((self._episode, self._step)) or self._faults.get('always')
        self._step += 1
        measurement = self._system.step(action)
        return fault(measurement) if fault else measurement


def raises(measurement):
    raise ConnectionError('cable out')


def hangs(measurement):
    time.sleep(1.8)
    return measurement


def of_another_shape(measurement):
    return measurement._replace(state=measurement.state._replace(qpos=np.zeros(3)))


def not_finite(measurement):
    return measurement._replace(state=measurement.state._replace(qvel=np.full(1, np.nan)))


def own_config(**changes):
    return tiny_lq_config(
        real_system='own', **{'training.real_system_timeout': 1.0, 'episodes': 6} | changes
    )


def test_each_fault_ends_one_members_episode_and_the_run_goes_on(tmp_path):
    faults = {(1, 3): raises, (2, 4): hangs, (3, 5): of_another_shape, (4, 6): not_finite}
    text = io.StringIO()
    config = own_config(**{'training.real_system_retries': 6, 'learner.buffer_capacity': 100})
    run = mpq_jax.train(
        config, tmp_path / 'run', real_systems=[FaultySystem(faults), FaultySystem({})],
        console=Console(file=text, width=200),
    )  # fmt: skip
    steps = np.diff(read_table(run.metrics_file, 'env_steps'), axis=1, prepend=0)
    # The episode after a hang resets a system that still hangs: one failure more, then it is back.
    np.testing.assert_array_equal(steps, [[10, 3, 4, 5, 6, 10], [10] * 6])
    nonfinite = read_table(run.metrics_file, 'nonfinite_steps')
    np.testing.assert_array_equal(nonfinite, [[0, 0, 0, 0, 1, 0], [0] * 6])
    said = text.getvalue()
    for part in (
        'real system 0: step failed (ConnectionError: cable out)',
        'training.real_system_timeout = 1 s',
        'state.qpos has shape (3,): it must be (1,)',
    ):
        assert part in said
    saved = state_of(run, config, [FaultySystem({})] * 2).buffer
    assert saved.size.tolist() == [38, 60]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(saved))


def state_of(run, config, systems=()):
    checkpointer = Checkpointer(run.checkpoints)
    template = make_programs(config, systems).state_shapes()
    saved, problems = checkpointer.restore(template, config)
    checkpointer.close()
    assert problems == []
    return saved.state


def test_a_system_that_keeps_failing_stops_the_run_with_a_checkpoint(tmp_path):
    """Failures in episodes 2 and 3 are retried, that in 4 is one too many."""
    faults = {(episode, 0): raises for episode in range(2, 20)}
    changes = {'training.real_system_retries': 2, 'training.checkpoint_interval': 100}
    config = own_config(**changes)
    systems = [FaultySystem(faults), FaultySystem({})]
    with pytest.raises(RunError, match=r'cable out\), 3 times in a row(?s:.*)after episode 4 of 6'):
        mpq_jax.train(config, tmp_path / 'run', real_systems=systems)
    healthy = [FaultySystem({}), FaultySystem({})]
    run = mpq_jax.train(config, tmp_path / 'run', resume=True, real_systems=healthy)
    steps = np.diff(read_table(run.metrics_file, 'env_steps'), axis=1, prepend=0)
    np.testing.assert_array_equal(steps, [[10, 10, 0, 0, 10, 10], [10] * 6])
    result = mpq_jax.evaluate(run.path, 2, real_systems=healthy)
    assert result['parameters'] == 'last'  # never validated: none are the best
    assert np.shape(result['return']['per_seed']['0']['episodes']) == (2,)


def test_systems_are_given_one_a_member_or_not_at_all(tmp_path):
    with pytest.raises(ConfigError, match='real_systems = 0 is not allowed: it must be 2 systems'):
        mpq_jax.train(own_config(), tmp_path / 'run')
    with pytest.raises(ConfigError, match=r"real_system = 'simulated'.*'own' when"):
        mpq_jax.train(tiny_lq_config(), tmp_path / 'run', real_systems=[FaultySystem({})] * 2)
    assert not (tmp_path / 'run').exists()


def guarded(system, timeout=0.2, retries=2):
    system.task = None
    said = []
    template = jax.eval_shape(lambda: Measurement(jnp.zeros(2), jnp.zeros(1)))
    return GuardedSystem(system, 'arm', template, timeout, retries, said.append), said


class Scripted:
    """Answers by a script; one entry a call."""

    def __init__(self, *answers):
        self.answers, self.calls, self.together = list(answers), 0, 0
        self._busy = threading.Lock()

    def reset(self, argument):
        self.calls += 1
        self.together += not self._busy.acquire(blocking=False)
        try:
            answer = self.answers.pop(0)
            return answer() if callable(answer) else answer
        finally:
            self._busy.release()

    step = reset


GOOD = Measurement(np.zeros(2), np.ones(1))


def test_a_reset_is_tried_again():
    system, said = guarded(Scripted(ValueError, lambda: 1 / 0, GOOD))
    system._system.answers[0] = lambda: int('x')
    measurement = system.reset(None)
    assert measurement.state.dtype == np.float32 and len(said) == 2
    assert 'retry 1 of 2' in said[0] and 'ZeroDivisionError' in said[1]


def test_a_reset_that_is_not_finite_is_a_failure():
    system, _ = guarded(Scripted(*[GOOD._replace(state=np.full(2, np.inf))] * 3))
    with pytest.raises(RealSystemError, match=r'not finite.*3 times in a row'):
        system.reset(None)


def test_a_call_that_hangs_is_never_joined_by_another():
    own = Scripted(GOOD, lambda: time.sleep(0.5), GOOD)
    system, said = guarded(own, retries=5)
    system.reset(None)
    assert system.step(None) is None
    begin = time.monotonic()
    assert system.reset(None).state.shape == (2,)
    assert own.together == 0 and time.monotonic() - begin > 0.15
    assert 'no answer within' in said[0]


def test_a_system_that_hangs_for_good_is_given_up_in_time():
    forever = threading.Event()
    system, _ = guarded(Scripted(forever.wait))
    begin = time.monotonic()
    with pytest.raises(RealSystemError, match=r'TimeoutError.*real_system_retries = 2'):
        system.reset(None)
    assert time.monotonic() - begin < 5
    forever.set()


def test_an_episode_without_failure_forgives_those_before():
    bad = lambda: 1 / 0  # noqa: E731
    own = Scripted(*[GOOD, bad] * 3, *[GOOD, GOOD], GOOD, bad, GOOD)
    system, _ = guarded(own, retries=3)
    for _ in range(3):
        system.reset(None)
        assert system.step(None) is None
    system.reset(None)
    assert system.step(None) is not None
    system.reset(None)
    assert system.step(None) is None
    assert system._failures == 1


def test_diverging_q_is_put_back_and_the_other_members_learn(tmp_path):
    rates = ({'learner.learning_rate': 1e30}, {'learner.learning_rate': 1e-3})
    shared = tiny_lq_config(num_seeds=1, episodes=6, **{'training.max_restores': 2})
    config = mpq_jax.Batch(shared, rates)
    text = io.StringIO()
    with pytest.raises(RunError, match=r'Q of seed 0 diverged 3 times, training\.max_restores = 2'):
        mpq_jax.train(config, tmp_path / 'run', console=Console(file=text, width=200))
    run = RunDirectory(tmp_path / 'run')
    rows = read_rows(run.metrics_file)
    losses = read_table(run.metrics_file, 'q_loss')
    assert np.isnan(losses[0]).all() and np.isfinite(losses[1]).all() and losses.shape == (2, 3)
    assert [row['q_restores'] for row in rows] == ['1', '0', '2', '0', '3', '0']
    assert 'Q diverged in 1 of 2 members' in text.getvalue()
    start = make_programs(config).initial_state().learner
    saved = state_of(run, config).learner
    for before, after in zip(jax.tree.leaves(start), jax.tree.leaves(saved), strict=True):
        np.testing.assert_array_equal(after[0], before[0])
        if before.ndim > 2:
            assert not np.array_equal(after[1], before[1])
    with pytest.raises(RunError, match='diverged 4 times'):
        mpq_jax.train(config, run.path, resume=True)


def test_nothing_is_learned_from_an_empty_buffer(tmp_path):
    """The first step of every episode leaves the finite numbers: nothing is ever stored."""
    mpq_jax.register_task('broken', broken_task)
    config, text = tiny_lq_config(task='broken', episodes=2), io.StringIO()
    with pytest.raises(NothingLearnedError, match=r'seeds 0, 1 took no control step.*saved in'):
        mpq_jax.train(config, tmp_path / 'run', console=Console(file=text, width=200))
    assert text.getvalue().count('so far seeds 0, 1 took no control step') == 1
    run = RunDirectory(tmp_path / 'run')
    for row in read_rows(run.metrics_file):
        assert (row['q_loss'], row['env_steps'], row['nonfinite_steps']) == ('', '0', '1')
        assert row['return'] == 'nan'
    idle = json.loads(run.manifest_file.read_text())['idle_members']
    assert [member['seed'] for member in idle] == [0, 1]
    start, saved = make_programs(config).initial_state().learner, state_of(run, config).learner
    for before, after in zip(jax.tree.leaves(start), jax.tree.leaves(saved), strict=True):
        np.testing.assert_array_equal(after, before)
