"""Warp's fields and buffers: what is estimated, and what is said where something is wrong."""

import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import for_planner, make_simulator
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.dynamics.warp import Buffers, buffers_for
from mpq_jax.dynamics.warp.physics import FEW_ITERATIONS, overflow_error
from tests.test_warp import begun, native_contacts, on_warp, random_plans, stand


def test_estimates_hold_what_native_mujoco_counts():
    """Five times as long as the estimate looked, from other starts; what is stated is taken."""
    task, physics = mpq_jax.load_task('ball_in_cup'), PhysicsConfig(timestep=0.01)
    model = load_model(task, physics)
    found = buffers_for(task, model, physics)
    actions = random_plans(100, 2)
    assert 0 < native_contacts(task, physics, begun(task), actions) <= found.contacts // 2
    assert buffers_for(task, model, PhysicsConfig(warp_contacts=5)) == (5, found.constraints)
    assert buffers_for(task, model, PhysicsConfig(warp_contacts=5, warp_constraints=6)) == (5, 6)


def test_what_is_lost_is_read_as_mjx_marks_it():
    """Every mark names a field, or is of no buffer that has one."""
    on_warp()
    from mujoco.mjx.third_party.mujoco_warp._src.types import OverflowType as Mark

    named = {
        'warp_constraints = 6': Mark.NEFC | Mark.NJMAX_NNZ,
        'warp_contacts = 5': Mark.BROADPHASE | Mark.NARROWPHASE | Mark.CCD,
        "impl = 'warp'": Mark.HFIELD
        | Mark.CONTACT_MATCH
        | Mark.NVMAX
        | Mark.EPA_HORIZON
        | Mark.TACTILE,
    }
    nothing_lost = Mark.ITERATIONS | Mark.LS_ITERATIONS
    assert FEW_ITERATIONS == nothing_lost == Mark.ALL & ~sum(named.values())
    for said, marks in named.items():
        for mark in marks:
            assert said in str(overflow_error(int(mark), Buffers(5, 6)))


def test_a_planner_runs_on_warp_where_that_is_asked_for():
    """On a CPU as well, where 'auto' would be native MuJoCo."""
    physics = for_planner(stand(), PhysicsConfig(impl='warp'))
    assert physics.backend == 'mjx' and physics.impl == 'warp'


def test_what_mjx_cannot_collide_names_what_can():
    with pytest.raises(
        TaskError, match=r'CYLINDER.*BOX.*planner_backend=mujoco.*planner_physics\.impl=warp'
    ):
        make_simulator(stand(), PhysicsConfig(backend='mjx'))


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'impl': 'wrap'}, "impl = 'wrap' .*did you mean 'warp'"),
        ({'impl': 'warp', 'straight_line': 'on'}, "straight_line = 'on' .*impl is 'warp'"),
        ({'warp_contacts': -1}, 'warp_contacts = -1 .* at least 0'),
        ({'warp_graph_mode': 'wrap'}, "warp_graph_mode = 'wrap'"),
    ],
)
def test_fields_that_cannot_be_used_are_named(fields, said):
    with pytest.raises(ConfigError, match=said):
        PhysicsConfig(**fields).validate('planner_physics')


def test_without_warp_the_field_and_the_install_are_named(monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    config = mpq_jax.set_fields(
        mpq_jax.preset('tests.test_warp:stand', 'mppi'), {'planner_physics.impl': 'warp'}
    )
    wanted = r"planner_physics\.impl = 'warp' .*pip install 'mujoco-mjx\[warp\]'"
    with pytest.raises(ConfigError, match=wanted):
        mpq_jax.make_controller(config)


def test_graph_modes_that_a_cpu_does_not_have_are_named():
    with pytest.raises(ConfigError, match=r"warp_graph_mode = 'warp_staged' .* on a CPU"):
        make_simulator(stand(), on_warp(warp_graph_mode='warp_staged'))
