"""How much fits: estimates of what a program needs, against what XLA allots."""

import jax
import pytest

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.planning import mppi
from mpq_jax.training import memory
from tests.conftest import at, tiny_config


def test_memory_is_estimated_and_chunked(equations_pendulum):
    config = tiny_config()
    one = memory.plan_bytes(config, equations_pendulum)
    roomy = tiny_config(**{'execution.memory_gib': 1000 * 2 * one / 2**30})
    assert memory.plans_at_once(roomy, equations_pendulum, wanted=64, batch=2) == 64
    tight = tiny_config(**{'execution.memory_gib': 10.5 * 2 * one / 2**30})
    assert memory.plans_at_once(tight, equations_pendulum, wanted=64, batch=2) == 8  # of ten
    tight = tiny_config(**{'execution.memory_gib': 2.5 * one / 2**30})
    assert memory.members_at_once(tight, equations_pendulum, batch=6) == 2
    with pytest.raises(ConfigError, match=r'execution\.memory_gib'):
        nothing = tiny_config(**{'execution.memory_gib': 0.5 * one / 2**30})
        memory.members_at_once(nothing, equations_pendulum, batch=6)


@pytest.mark.parametrize(('form', 'least'), [('off', 0.3), ('on', 0.05)])
def test_memory_estimate_covers_what_xla_allots(pendulum, form, least):
    """That of arrays holds for scalars too, of which few are alive at once."""
    mjx_pendulum = make_simulator(pendulum, PhysicsConfig('mjx', straight_line=form))
    config = tiny_config(**{'planner.num_samples': 512, 'planner.horizon': 8, 'agent': 'mppi'})
    models = jax.tree.map(lambda leaf: leaf[None], mjx_pendulum.true_model())

    def plan(state, key):
        return mppi.plan(
            config.planner, mjx_pendulum, mjx_pendulum.task.cost, models, state,
            mppi.zero_controls(config.planner, 1), key,
        )  # fmt: skip

    lowered = jax.jit(plan).lower(at(mjx_pendulum, 1.0, 0.0), jax.random.key(0))
    allotted = lowered.compile().memory_analysis().temp_size_in_bytes
    estimate = memory.plan_bytes(config, mjx_pendulum)
    assert least * estimate < allotted < 1.2 * estimate


@pytest.mark.parametrize('backend', ['cpu', 'gpu', 'tpu'])
def test_what_runs_before_anything_is_written_is_bounded(monkeypatch, backend):
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    assert memory.blocks_of(100_000) < 10_000 and memory.blocks_of(10**12) == 1
