"""The batch over several devices: forced host devices, each in a process of its own."""

import os
import subprocess
import sys

import numpy as np
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = """
import sys
from pathlib import Path
import jax, numpy as np
from mpq_jax.training.assembly import make_programs
from mpq_jax.runs.saved_state import to_host
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from tests.conftest import tiny_config

config = tiny_config(num_seeds=3, variants=({'planner.temperature': 0.1},))
programs = make_programs(config)
state = programs.initial_state()
params = programs.parameters(state, 'last')
played, _ = programs.play('test', state, params, [0])
state, summary = programs.collect(state, 0)
plan = to_host(state.buffer.storage.action, 3, filled=1)[:, 0]
state, metrics = programs.learn(state, 0)
state = programs.keep_best(state, np.array([[3.0], [1.0], [2.0]]))
checkpointer = Checkpointer(Path(sys.argv[1] + '.checkpoints'))
checkpointer.save(Checkpoint(1, state, {}, config))
end = checkpointer.restore(programs.state_shapes(), config)[0].state
checkpointer.close()
again, summary_again = programs.collect(programs.layout.placed(end), 1)
state, summary_on = programs.collect(state, 1)
np.testing.assert_array_equal(summary_again.episode_return, summary_on.episode_return)
np.savez(
    sys.argv[1],
    devices=len(programs.layout.devices),
    plan=plan,
    returns=summary.episode_return,
    played=played.episode_return,
    q_loss=metrics.q_loss,
    best=to_host(state.best_returns, 3),
    **{f'p{i}': to_host(leaf, 3) for i, leaf in enumerate(jax.tree.leaves(state.learner.params))},
)
"""


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """One plan a member, an episode and a learning round of 3 members on 1, 2 and 4 devices."""
    path = tmp_path_factory.mktemp('devices')
    processes = {}
    for count in (1, 2, 4):
        flags = os.environ.get('XLA_FLAGS', '')
        flags += f' --xla_force_host_platform_device_count={count}'
        processes[count] = subprocess.Popen(
            [sys.executable, '-c', SCRIPT, path / f'{count}.npz'],
            cwd=ROOT, env=os.environ | {'XLA_FLAGS': flags},
        )  # fmt: skip
        if count != 1:
            processes[count].wait()
    assert all(process.wait() == 0 for process in processes.values())
    return {count: np.load(path / f'{count}.npz') for count in processes}


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
