"""The batch over several devices: host devices that a process of its own is given."""

import os
import subprocess
import sys

import numpy as np
import pytest

from mpq_jax.runs.metrics import read_table

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = """
import sys
from pathlib import Path
import jax, numpy as np
import mpq_jax
from mpq_jax.training.assembly import make_programs
from mpq_jax.runs.saved_state import to_host
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from tests.conftest import tiny_lq_config

config = mpq_jax.Batch(
    tiny_lq_config(num_seeds=3, **{'training.validation_episodes': 1}),
    ({'planner.temperature': 0.1},),
)
devices = jax.local_devices()


def compute(count, path):
    jax.local_devices = lambda **_: devices[:count]
    programs = make_programs(config)
    state = programs.initial_state()
    params = programs.parameters(state, 'last')
    played, _ = programs.play('test', state, params, [0])
    state, summary = programs.collect(state, 0)
    plan = to_host(state.buffer.storage.action, 3, filled=1)[:, 0]
    state, metrics = programs.learn(state, 0)
    state = programs.keep_best(state, np.array([[3.0], [1.0], [2.0]]))
    checkpointer = Checkpointer(path / f'{count}.checkpoints')
    checkpointer.save(Checkpoint(1, state, {}, config))
    end = checkpointer.restore(programs.state_shapes(), config)[0].state
    checkpointer.close()
    again, summary_again = programs.collect(programs.compiler.layout.placed(end), 1)
    state, summary_on = programs.collect(state, 1)
    np.testing.assert_array_equal(summary_again.episode_return, summary_on.episode_return)
    params = jax.tree.leaves(state.learner.params)
    np.savez(
        path / f'{count}.npz',
        devices=len(programs.compiler.layout.devices),
        plan=plan,
        returns=summary.episode_return,
        played=played.episode_return,
        q_loss=metrics.q_loss,
        best=to_host(state.best_returns, 3),
        **{f'p{i}': to_host(leaf, 3) for i, leaf in enumerate(params)},
    )


for count in (1, 2, 4):
    compute(count, Path(sys.argv[1]))
"""


def run_on(devices, script, path):
    """The script, told the path, in a process of its own that has so many devices."""
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
    subprocess.run(
        [sys.executable, '-c', script, path], cwd=ROOT, env=os.environ | {'XLA_FLAGS': flags},
        check=True, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """One plan a member, an episode and a learning round of 3 members on 1, 2 and 4 devices."""
    path = tmp_path_factory.mktemp('devices')
    run_on(4, SCRIPT, path)
    return {count: np.load(path / f'{count}.npz') for count in (1, 2, 4)}


@pytest.mark.parametrize(('count', 'used'), [(2, 2), (4, 3)])
def test_several_devices_compute_what_one_does(results, count, used):
    """Three members: padded to four on two devices; the fourth device of four stays idle."""
    one, several = results[1], results[count]
    assert one['devices'] == 1 and several['devices'] == used
    np.testing.assert_allclose(several['plan'], one['plan'], atol=1e-5)
    for name in one.files:
        if name != 'devices':
            assert several[name].shape == one[name].shape and len(one[name]) == 3
            np.testing.assert_allclose(several[name], one[name], rtol=1e-3, atol=1e-4)


LEARNED = """
import sys
import mpq_jax
from tests.test_learned_dynamics import config_of

mpq_jax.train(config_of(num_seeds=3, episodes=3), sys.argv[1])
"""


@pytest.mark.slow
def test_models_are_learned_on_several_devices_as_on_one(tmp_path):
    """Networks are members' own: where a batch is split, each device has those of its members."""
    for count in (1, 3):
        run_on(count, LEARNED, tmp_path / str(count))
    for column in ('return', 'model_loss', 'model_holdout_loss', 'model_error'):
        one, several = (read_table(tmp_path / str(n) / 'metrics.csv', column) for n in (1, 3))
        known = ~np.isnan(one)
        assert known.any() and (known == ~np.isnan(several)).all()
        np.testing.assert_allclose(several[known], one[known], rtol=1e-2, atol=1e-3)


DISTILLED = """
import sys
import mpq_jax
from tests.conftest import tiny_lq_config

run = mpq_jax.train(tiny_lq_config(num_seeds=3, episodes=2), sys.argv[1])
fields = {'episodes': 2, 'distil.expert_episodes': 1, 'distil.epochs': 2, 'distil.hidden_width': 8}
mpq_jax.distil(run.path, fields, test_episodes=1)
"""


@pytest.mark.slow
def test_what_comes_from_another_run_goes_to_several_devices(tmp_path):
    """Its parameters, models and buffer, which one device reads."""
    for count in (1, 3):
        run_on(count, DISTILLED, tmp_path / str(count))
    files = (tmp_path / str(n) / 'distilled' / 'metrics.csv' for n in (1, 3))
    one, several = (read_table(file, 'policy_loss') for file in files)
    assert np.isfinite(one).all() and one.shape == (3, 2)
    np.testing.assert_allclose(several, one, rtol=1e-2)
