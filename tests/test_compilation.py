"""Programs compiled ahead of time, and what jaxlib lets us ask of XLA."""

import warnings

import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from mpq_jax.base import compilation
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.tasks import Start
from tests.conftest import lq_task


def test_compiled_programs_refuse_other_shapes():
    program = compilation.compile(lambda x: x + 1, jnp.zeros(3))
    assert program.compile_seconds > 0
    with pytest.raises(TypeError):
        program(jnp.zeros(4))


def test_which_jaxlib_takes_the_cpu_options():
    """When this fails, XLA has changed its mind: look at kinematic chains again."""
    version = tuple(map(int, jaxlib.__version__.split('.')[:2]))
    assert compilation.accepts_cpu_options() is (version < (0, 12))


def test_sums_are_loops_of_xlas_own():
    """When this fails, look at the control term of 1024 plans again."""
    program = compilation.compile(lambda x: jnp.sum(1.5 * x, axis=1), jnp.ones((1024, 32)))
    text = program.executable.as_text()
    assert ' reduce(' in text or 'reduce-window' in text
    assert 'ynn' not in text and 'xnn' not in text
    np.testing.assert_allclose(program(jnp.ones((1024, 32))), 48.0)


@pytest.fixture
def refused_options(monkeypatch):
    monkeypatch.setattr(compilation, 'CPU_OPTIONS', {'xla_no_such_option': False})


CHAIN = """
<mujoco>
  <worldbody>
    {bodies}<geom size="0.1"/>{ends}
  </worldbody>
  <actuator><motor joint="0" ctrllimited="true" ctrlrange="-1 1"/></actuator>
</mujoco>
"""


def test_refused_options_are_done_without_and_chains_are_warned_of(refused_options):
    program = compilation.compile(lambda x: x + 1, jnp.zeros(3))
    assert program(jnp.zeros(3))[0] == 1.0
    for length, warns in ((3, False), (4, True)):
        body = '<body><joint name="{}" axis="0 1 0"/><geom size="0.1" pos="0 0 1"/>'
        text = CHAIN.format(
            bodies=''.join(body.format(i) for i in range(length)), ends='</body>' * length
        )
        zeros = jnp.zeros(length)
        task = lq_task(mjcf=text, control_timestep=0.002, reset=lambda key, z=zeros: Start(z, z))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            make_simulator(task, PhysicsConfig(backend='mjx'))
        said = [str(w.message) for w in caught if 'moving bodies' in str(w.message)]
        assert bool(said) is warns
