"""One plan's samples over several devices: what is computed is what one device computes."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.base.spreading import Spread, spread_over
from mpq_jax.planning.mppi import MPPI
from mpq_jax.training import memory
from tests.conftest import tiny_config
from tests.test_devices import run_on

ACTING = """
import re, sys
from pathlib import Path
import jax, numpy as np
import mpq_jax
from tests.conftest import tiny_config


def act(devices, samples, **fields):
    config = tiny_config(**{
        'agent': 'mppi', 'planner_physics.backend': 'equations', 'planner.num_samples': samples,
        'execution.sample_devices': devices, **fields,
    })
    controller = mpq_jax.make_controller(config)
    actions = [controller.act([0.5 + 0.1 * t], [0.2 * t]) for t in range(3)]
    scores = [float(controller.diagnostics.best_score), float(controller.diagnostics.mean_score)]
    said = re.search(r'num_partitions=([0-9]+)', controller._act.executable.as_text())
    parts = int(said.group(1)) if said else 1
    return dict(
        actions=np.stack(actions), plan=jax.tree.leaves(controller.plan)[0], scores=scores,
        parts=parts,
    )


CASES = {
    'two': (2, 24, {}),
    'three': (3, 24, {}),
    'three chunks': (3, 24, {'execution.sample_chunk': 3}),
    'indivisible': (3, 23, {}),
    'by halves': (3, 22, {}),
    'improved twice': (2, 24, {'planner.iterations': 2}),
    'covariance': (2, 24, {'planner.name': 'dmd', 'planner.noise': 'knots'}),
    'sorted': (2, 24, {'planner.name': 'cem'}),
    'best alone': (2, 24, {'planner.name': 'predictive_sampling'}),
    'own planner': (2, 24, {'planner.name': 'tests.test_spreading:odd_planner'}),
    'pooled by draw': (2, 24, {'belief.num_draws': 3, 'planner.pooling': 'per_draw'}),
}
arrays = {}
for name, (devices, samples, fields) in CASES.items():
    for which, count in (('one', 1), ('several', devices)):
        for key, value in act(count, samples, **fields).items():
            arrays[f'{name} {which} {key}'] = value
np.savez(Path(sys.argv[1]) / 'acting.npz', **arrays)
"""
PARTS = {  # of each case's program
    'two': 2, 'three': 3, 'three chunks': 3, 'indivisible': 1, 'by halves': 2, 'improved twice': 2,
    'covariance': 2, 'sorted': 2, 'best alone': 2, 'own planner': 2, 'pooled by draw': 2,
}  # fmt: skip

LEARNING = """
import sys
from pathlib import Path
import jax, numpy as np
import mpq_jax
from mpq_jax.runs.checkpoint import Checkpoint, Checkpointer
from mpq_jax.runs.saved_state import to_host
from mpq_jax.training.assembly import make_programs
from tests.conftest import tiny_lq_config

path = Path(sys.argv[1])
arrays = {}
for devices in (1, 2):
    batch = mpq_jax.Batch.of(
        tiny_lq_config(num_seeds=1, **{'execution.sample_devices': devices})
    )
    programs = make_programs(batch)
    state = programs.initial_state()
    state, summary = programs.collect(state, 0)
    state, metrics = programs.learn(state, 0)
    checkpointer = Checkpointer(path / f'{devices}.checkpoints')
    checkpointer.save(Checkpoint(1, state, {}, batch))
    saved = checkpointer.restore(programs.state_shapes(), batch)[0].state
    checkpointer.close()
    again, summary_again = programs.collect(programs.compiler.layout.placed(saved), 1)
    again, _ = programs.learn(again, 1)
    state, summary_on = programs.collect(state, 1)
    state, _ = programs.learn(state, 1)
    np.testing.assert_array_equal(summary_again.episode_return, summary_on.episode_return)
    for x, y in zip(*(jax.tree.leaves(s.learner.params) for s in (again, state)), strict=True):
        np.testing.assert_array_equal(x, y)
    placed = {len(x.sharding.device_set) for x in jax.tree.leaves(state)}
    arrays |= {
        f'{devices} return': summary_on.episode_return,
        f'{devices} loss': metrics.q_loss,
        f'{devices} placed': sorted(placed),
        f'{devices} shared': 'over 2 devices' in programs.physics['planner'],
    }
    for i, leaf in enumerate(jax.tree.leaves(state.learner.params)):
        arrays[f'{devices} p{i}'] = leaf
np.savez(path / 'learning.npz', **arrays)
"""


def odd_planner():
    """MPPI that keeps more of what it drew than what has an axis of samples."""

    def sample(config, plan, key):
        candidates = MPPI.sample(config, plan, key)
        return candidates._replace(drawn=(candidates.drawn, key, 1.0, jnp.arange(3)))

    def update(config, plan, candidates, costs):
        noise, _, one, counted = candidates.drawn
        noise = noise * one * counted[1]
        return MPPI.update(config, plan, candidates._replace(drawn=noise), costs)

    return MPPI._replace(sample=sample, update=update)


@pytest.fixture(scope='module')
def acting(tmp_path_factory):
    path = tmp_path_factory.mktemp('acting')
    run_on(3, ACTING, path)
    return np.load(path / 'acting.npz')


@pytest.mark.parametrize('case', PARTS)
def test_a_controller_acts_as_on_one_device(acting, case):
    """The same noise whoever draws it, the same costs whoever rolls them out."""
    for what in ('actions', 'plan', 'scores'):
        several = acting[f'{case} several {what}']
        assert np.isfinite(several).all()
        np.testing.assert_allclose(several, acting[f'{case} one {what}'], rtol=1e-5, atol=1e-6)
    assert acting[f'{case} several parts'] == PARTS[case] and acting[f'{case} one parts'] == 1
    assert np.abs(acting[f'{case} several actions']).max() > 0


@pytest.mark.slow
def test_a_run_learns_as_on_one_device_and_resumes_exactly(tmp_path):
    run_on(2, LEARNING, tmp_path)
    found = np.load(tmp_path / 'learning.npz')
    assert found['1 placed'].tolist() == [1] and found['2 placed'].tolist() == [2]
    assert found['2 shared'] and not found['1 shared']
    for name in found.files:
        if name.startswith('1 ') and name not in ('1 placed', '1 shared'):
            one, two = found[name], found[name.replace('1', '2', 1)]
            assert np.isfinite(one).all()
            np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-5)


def test_as_many_devices_as_get_equal_parts(monkeypatch):
    monkeypatch.setattr(jax, 'local_device_count', lambda: 6)
    counts = {items: spread_over(8, items).devices for items in (1, 4, 7, 24, 25, 26)}
    assert counts == {1: 1, 4: 4, 7: 1, 24: 6, 25: 5, 26: 2}
    assert spread_over(0, 24) == spread_over(1, 24) == Spread(1)


def test_where_a_plan_is_laid_over_devices_by_itself(monkeypatch):
    """One member, on cores, with enough to do; what the config says goes before that."""
    monkeypatch.setattr(jax, 'local_device_count', lambda: 2)

    def over(members=1, samples=1024, backend='mjx', particles=None, operations=400, **fields):
        simulator = types.SimpleNamespace(
            backend=backend, particles=particles, steps_per_control=2, operations=operations
        )
        fields |= {'planner.num_samples': samples, 'planner.horizon': 16}
        return memory.spread_of(tiny_config(**fields), simulator, members).devices

    assert over() == over(operations=0) == 2
    assert over(members=2) == over(samples=24) == over(**{'execution.sample_devices': 1}) == 1
    assert over(operations=100) == over(backend='equations', operations=0) == 1
    asked = {'execution.sample_devices': 2}
    assert over(members=2, samples=24, **asked) == 2
    assert over(samples=25, **asked) == 1
    assert over(backend='mujoco', **asked) == over(particles=len, **asked) == 1
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert over() == 1
