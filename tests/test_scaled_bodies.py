"""Scaled bodies against the same model written out at another scale."""

import mujoco
import numpy as np
import pytest

from mpq_jax.suite import scaled_bodies
from mpq_jax.suite.scaled_bodies import BELIEF, scale_lengths, scale_masses, set_parameters


def written_out(length: float, mass: float) -> mujoco.MjModel:
    """A pendulum on a cart, a planar walker, a free body in a fluid: their lengths and masses."""
    s, m = length, mass
    return mujoco.MjModel.from_xml_string(f"""
<mujoco>
  <option density="1000" viscosity="0.1"/>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <geom name="rail" type="capsule" size=".02 1" pos="0 3 1"/>
    <body name="fixed" pos="1 1 1"><geom size=".1" pos=".1 0 0" mass="1"/>
      <site name="hook" pos="0 0 .1"/>
      <body name="arm" pos=".2 0 .1">
        <joint name="arm" type="hinge" axis="0 1 0" pos="0 0 {0.1 * s}"/>
        <geom type="box" size="{0.1 * s} {0.2 * s} {0.3 * s}" pos="0 0 {-0.2 * s}" mass="{2 * m}"/>
        <geom type="ellipsoid" size="{0.1 * s} {0.2 * s} {0.3 * s}" fluidshape="ellipsoid"
          pos="{0.1 * s} 0 {-0.5 * s}" euler="10 20 30" mass="{m}"/>
        <site name="finger" size="{0.02 * s} {0.02 * s} {0.02 * s}" pos="0 0 {-0.4 * s}"/>
      </body>
    </body>
    <body name="cart" pos="0 3 1">
      <joint name="slider" type="slide" axis="1 0 0"/>
      <geom type="capsule" size="{0.1 * s} {0.1 * s}" mass="{3 * m}"/>
      <body name="pole" pos="0 0 {0.1 * s}"><joint type="hinge" axis="0 1 0"/>
        <geom type="capsule" fromto="0 0 0 0 0 {0.6 * s}" size="{0.04 * s}" mass="{m}"/>
        <body name="pole2" pos="0 0 {0.6 * s}"><joint type="hinge" axis="0 1 0"/>
          <geom type="cylinder" fromto="0 0 0 0 0 {0.5 * s}" size="{0.04 * s}" mass="{m}"/></body>
      </body>
    </body>
    <body name="torso" pos="0 0 {1.2 * s}">
      <joint type="slide" axis="1 0 0"/><joint name="up" type="slide" axis="0 0 1" ref="1.2"/>
      <joint type="hinge" axis="0 1 0"/>
      <geom size="{0.2 * s}" mass="{4 * m}"/><geom size="{0.1 * s}" pos="0 0 {0.3 * s}" mass="{m}"/>
      <body name="leg" pos="0 0 {-0.2 * s}"><joint type="hinge" axis="0 1 0"/>
        <geom name="leg" type="capsule" fromto="0 0 0 0 0 {-0.9 * s}" size="{0.1 * s}"
          mass="{m}"/></body>
    </body>
    <body name="free" pos="0 5 2"><freejoint/><geom size="{0.1 * s}" mass="{m}"/></body>
  </worldbody>
  <tendon><spatial name="string"><site site="hook"/><site site="finger"/></spatial></tendon>
  <actuator><motor joint="slider"/><motor joint="arm"/></actuator>
</mujoco>""")


def arrays(model):
    """Every array of numbers of a model."""
    found = {name: getattr(model, name) for name in dir(model) if not name.startswith('_')}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, np.ndarray) and np.issubdtype(value.dtype, np.floating)
    }


def edited(length, mass):
    model = written_out(1.0, 1.0)
    set_parameters(model, {'length_scale': length, 'mass_scale': mass})
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


@pytest.mark.parametrize(('length', 'mass'), [(1.4, 1.0), (1.0, 1.5), (0.7, 2.0)])
def test_a_scaled_model_is_the_one_written_out_at_that_scale(length, mass):
    expected, found = arrays(written_out(length, mass)), arrays(edited(length, mass))
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
    assert len(expected) > 50


def test_they_move_alike():
    data = [mujoco.MjData(m) for m in (written_out(1.3, 1.2), edited(1.3, 1.2))]
    for d in data:
        d.ctrl[:] = 0.3, -0.2
    mujoco.mj_step(written_out(1.3, 1.2), data[0], 300)
    mujoco.mj_step(edited(1.3, 1.2), data[1], 300)
    np.testing.assert_allclose(data[1].qpos, data[0].qpos, atol=1e-6)


def test_feet_stay_on_the_ground_and_the_world_where_it_is():
    model = edited(1.5, 1.0)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    leg = data.geom('leg')
    tip = leg.xpos[2] - model.geom('leg').size[1] - model.geom('leg').size[0]
    assert tip == pytest.approx(1.5 * 0.0, abs=1e-9)  # 1.2 - 0.2 - 0.9 - 0.1
    np.testing.assert_array_equal(model.geom('rail').pos, [0, 3, 1])
    np.testing.assert_array_equal(model.body('cart').pos, [0, 3, 1])


def test_one_parameter_may_be_believed_alone():
    model, plain = written_out(1.0, 1.0), written_out(1.0, 1.0)
    set_parameters(model, {'mass_scale': 1.5})
    np.testing.assert_allclose(model.body_mass[3:], 1.5 * plain.body_mass[3:])
    np.testing.assert_array_equal(model.geom_size, plain.geom_size)
    assert [p.name for p in BELIEF] == ['mass_scale', 'length_scale']


def test_scaling_back_gives_the_model_again():
    model, plain = written_out(1.0, 1.0), written_out(1.0, 1.0)
    for factor in (1.3, 1 / 1.3):
        scale_lengths(model, factor)
        scale_masses(model, factor)
    mujoco.mj_setConst(model, mujoco.MjData(model))
    for name, value in arrays(plain).items():
        np.testing.assert_allclose(arrays(model)[name], value, rtol=1e-6, atol=1e-9, err_msg=name)
    assert scaled_bodies.MASS in BELIEF
