"""What a machine cannot do: memory that ends, callbacks that fail, batches that do not divide."""

import dataclasses
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import program_errors
from mpq_jax.base.files import remove_leftovers, replacing, write_atomically
from mpq_jax.base.validation import RunError
from mpq_jax.training import memory
from tests.conftest import tiny_config, tiny_lq_config
from tests.test_native_divergence import UNSTABLE


def fragile_task():
    """Fails where many are stepped at once, which no check of a task does."""

    def hook(qpos, qvel, timestep):
        if np.ndim(qpos) == 2 and len(qpos) > 3:
            raise ValueError('the arm came off')
        return qpos, qvel

    return mpq_jax.Task(
        name='fragile',
        mjcf=UNSTABLE.replace('damping="400"', ''),
        episode_steps=3,
        control_timestep=0.02,
        reset=lambda key: mpq_jax.Start(jnp.ones(1), jnp.zeros(1)),
        observe=lambda reading, variables: jnp.concatenate([reading.qpos, reading.qvel]),
        cost=lambda reading, variables, action: reading.qpos[0] ** 2,
        after_physics_step=hook,
    )


def test_a_callback_that_fails_is_one_message(tmp_path):
    backends = {'planner_physics.backend': 'mujoco', 'real_physics.backend': 'mujoco'}
    config = tiny_lq_config(task='tests.test_limits:fragile_task', episodes=2, **backends)
    with pytest.raises(RunError, match=r'program failed: ValueError: the arm came off\nstopped'):
        mpq_jax.train(config, tmp_path / 'run')


def test_memory_that_ends_names_what_to_change():
    wanted = r'out of memory.*9999 bytes.*execution\.memory_gib'
    with pytest.raises(RunError, match=wanted), program_errors():
        raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory: 9999 bytes.\n at')


@pytest.mark.parametrize('chunk', [0, 1, 4, 7, 60, 61])
def test_chunks_need_not_divide_the_items(chunk):
    """Models of a task without parameters have no elements."""
    items = jnp.arange(61.0), jnp.zeros((61, 0))
    found = jax.jit(lambda items: map_in_chunks(lambda x: (2 * x[0], x[1]), items, chunk))(items)
    np.testing.assert_array_equal(found[0], 2 * np.arange(61.0))
    assert found[1].shape == (61, 0)


def test_a_prime_number_of_members_does_not_run_one_by_one(equations_pendulum):
    one = memory.plan_bytes(tiny_config(), equations_pendulum)
    roomy = tiny_config(**{'execution.memory_gib': 60.5 * one / 2**30})
    assert memory.members_at_once(roomy, equations_pendulum, batch=61) == 31
    three = tiny_config(**{'execution.memory_gib': 3.5 * one / 2**30})
    assert memory.members_at_once(three, equations_pendulum, batch=7) == 3


def test_members_in_uneven_chunks_learn_what_they_learn_at_once(tmp_path):
    config = dataclasses.replace(tiny_lq_config(episodes=2), num_seeds=3)
    whole = mpq_jax.train(config, tmp_path / 'whole')
    simulator = mpq_jax.make_simulator(mpq_jax.load_task(config.task))
    one = memory.plan_bytes(config, simulator) / 2**30
    tight = mpq_jax.set_fields(config, {'execution.memory_gib': 2.5 * one})
    assert memory.members_at_once(tight, simulator, batch=3) == 2
    chunked = mpq_jax.train(tight, tmp_path / 'chunked')
    for one, other in zip(*map(returns, (whole, chunked)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


def returns(run):
    lines = run.metrics_file.read_text().splitlines()
    place = lines[0].split(',').index('return')
    return [float(line.split(',')[place]) for line in lines[1:]]


def test_two_writers_of_one_file_never_share_a_temporary_name(tmp_path):
    path = tmp_path / 'config.json'
    with replacing(path) as one, replacing(path) as other:
        assert one != other and one.parent == tmp_path
        one.write_text('one')
        other.write_text('other')
    assert path.read_text() == 'one' and list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError), replacing(path) as temporary:
        temporary.write_text('torn')
        raise OSError('full')
    write_atomically(tmp_path / 'second', b'\x00')
    assert path.read_text() == 'one' and len(list(tmp_path.iterdir())) == 2


def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(tmp_path):
    killed = subprocess.Popen([sys.executable, '-c', ''])
    killed.wait()
    (tmp_path / 'baselines').mkdir()
    dead, alive, elsewhere = (
        tmp_path / 'baselines' / f'config.json.{host}.{process}.0123abcd.tmp'
        for host, process in (
            (socket.gethostname(), killed.pid), (socket.gethostname(), os.getpid()),
            ('another-host', killed.pid),
        )
    )  # fmt: skip
    own = tmp_path / 'notes.tmp'
    for path in (dead, alive, elsewhere, own):
        path.write_text('half')
    remove_leftovers(tmp_path)
    assert [path.exists() for path in (dead, alive, elsewhere, own)] == [False, True, True, True]
