"""Plants from anywhere, views, starts, and features that backends would not agree on."""

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.tasks.check import check_task

BALL = """
<mujoco>
  <option timestep="0.01"/>
  <worldbody>
    <site name="origin" pos="0.1 0 0"/>
    <body name="cart" pos="0 0 1">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.1"/>
      <geom size="0.1" mass="1" contype="0" conaffinity="0"/>
      <body name="pole">
        <joint name="hinge" axis="0 1 0" damping="0.01"/>
        <geom name="tip" type="capsule" fromto="0 0 0 0 0 -0.5" size="0.02" mass="0.2" contype="0"
              conaffinity="0"/>
        <site name="end" pos="0 0 -0.5"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-5 5"/></actuator>
  SENSORS
  <keyframe><key name="home" qpos="0.2 0.4" qvel="1 -1"/><key qpos="0 3"/></keyframe>
</mujoco>
"""
PLAIN = BALL.replace('SENSORS', '')
URDF = """
<robot name="arm">
  <link name="base"/>
  <link name="link"><inertial><mass value="1"/><origin xyz="0 0 -0.3"/>
    <inertia ixx="0.1" iyy="0.1" izz="0.1" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="elbow" type="revolute"><parent link="base"/><child link="link"/>
    <axis xyz="0 1 0"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
</robot>
"""


def task_of(mjcf=PLAIN, **changes):
    fields = {
        'name': 'any', 'episode_steps': 5, 'control_timestep': 0.02, 'mjcf': mjcf,
        'reset': lambda key: mpq_jax.Start(jnp.array([0.2, 0.4]), jnp.array([1.0, -1.0])),
        'observe': lambda reading, variables: jnp.concatenate([reading.qpos, reading.qvel]),
        'cost': lambda reading, variables, action: jnp.sum(reading.qpos**2),
    }  # fmt: skip
    return mpq_jax.Task(**(fields | changes))


def added():
    spec = mujoco.MjSpec.from_string(PLAIN)
    spec.add_sensor(
        name='force', type=mujoco.mjtSensor.mjSENS_ACTUATORFRC,
        objtype=mujoco.mjtObj.mjOBJ_ACTUATOR, objname='push',
    )  # fmt: skip
    return spec


def test_a_plant_is_text_a_path_a_spec_a_model_or_a_function(tmp_path):
    file = tmp_path / 'robot.xml'
    file.write_text(PLAIN)
    sources = [
        file, str(file), mujoco.MjSpec.from_string(PLAIN), mujoco.MjModel.from_xml_string(PLAIN),
        lambda: PLAIN, added,
    ]  # fmt: skip
    wanted = load_model(task_of(), PhysicsConfig())
    for source in sources:
        model = load_model(task_of(source), PhysicsConfig(timestep=0.02))
        assert model.nq == wanted.nq and model.opt.timestep == 0.02
        np.testing.assert_array_equal(model.body_mass, wanted.body_mass)
    assert sources[2].copy().compile().opt.timestep == 0.01  # what was given is as it was
    assert sources[3].opt.timestep == 0.01


def test_text_finds_its_assets():
    triangle = b'v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n'
    mesh = '<asset><mesh name="m" file="m.obj"/></asset><worldbody>'
    text = PLAIN.replace('<worldbody>', mesh).replace('size="0.1" mass="1"', 'type="mesh" mesh="m"')
    for views in ({}, {'end': mpq_jax.View('site', 'end')}):
        assert (
            load_model(
                task_of(text, assets={'m.obj': triangle}, views=views), PhysicsConfig()
            ).nmesh
            == 1
        )
    with pytest.raises(TaskError, match=r'cannot be loaded.*m\.obj'):
        load_model(task_of(text), PhysicsConfig())


def test_a_function_that_makes_nothing_of_use_is_named():
    for source, words in ((lambda: 3, 'returned a int'), (lambda: 1 / 0, 'ZeroDivisionError')):
        with pytest.raises(TaskError, match=f"task 'any': mjcf .*{words}"):
            load_model(task_of(source), PhysicsConfig())


def test_a_urdf_is_told_how_to_get_actuators(tmp_path):
    file = tmp_path / 'robot.urdf'
    file.write_text(URDF)
    for source in (URDF, file):
        with pytest.raises(TaskError, match=r'no actuators.*A URDF never has any') as error:
            load_model(task_of(source), PhysicsConfig())
    remedy = str(error.value).partition('mjcf=plant:')[2].replace('robot.urdf', str(file))
    made = {'mujoco': mujoco}
    exec('\n'.join(line[4:] for line in remedy.splitlines()), made)  # as it is shown
    model = load_model(task_of(made['plant']), PhysicsConfig())
    assert model.nu == 1 and model.actuator('elbow').ctrlrange.tolist() == [-10, 10]


VIEWS = {
    'end': mpq_jax.View('site', 'end'),
    'end_speed': mpq_jax.View('site', 'end', 'linear_velocity'),
    'pole': mpq_jax.View('body', 'pole', 'quaternion'),
    'turning': mpq_jax.View('geom', 'tip', 'angular_velocity'),
    'up': mpq_jax.View('body', 'pole', 'z_axis'),
}


def test_views_are_what_mujoco_says_on_every_backend():
    """Of the very state that a step is taken from."""
    task = task_of(views=VIEWS)
    model = mujoco.MjModel.from_xml_string(PLAIN)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = [0.2, 0.4], [1, -1]
    mujoco.mj_forward(model, data)
    wanted = {
        'end': data.site('end').xpos, 'pole': data.body('pole').xquat,
        'up': data.body('pole').xmat.reshape(3, 3)[:, 2], 'turning': [0, -1, 0],
        'end_speed': [1 + 0.5 * np.cos(0.4), 0, -0.5 * np.sin(0.4)],
    }  # fmt: skip
    for backend, form in (('mjx', 'off'), ('mjx', 'on'), ('mujoco', 'auto')):
        simulator = mpq_jax.make_simulator(task, PhysicsConfig(backend, straight_line=form))
        state = simulator.state(task.reset(jax.random.key(0)))
        models = simulator.true_model()
        _, before = jax.jit(simulator.step)(models, state, jnp.ones(1))
        for reading in (before, jax.jit(simulator.read)(models, state)):
            for name, value in wanted.items():
                np.testing.assert_allclose(reading.sensors[name], value, atol=2e-6, err_msg=name)


@pytest.mark.parametrize(
    ('view', 'words'),
    [
        (('site', 'ende'), r"no site 'ende'.*origin, end.*did you mean 'end'"),
        (('joint', 'slide'), "'joint' is not one of"),
        (('site', 'end', 'speed'), "'speed' is not one of"),
        ('end', 'it must be a mpq_jax.View'),
    ],
)
def test_a_view_of_nothing_is_named(view, words):
    with pytest.raises(TaskError, match=rf"views\['it'\].*{words}"):
        load_model(task_of(views={'it': view}), PhysicsConfig())
    with pytest.raises(TaskError, match='nothing can be added to an MjModel'):
        load_model(
            task_of(mujoco.MjModel.from_xml_string(PLAIN), views={'it': view}), PhysicsConfig()
        )


@pytest.mark.parametrize(
    ('sensor', 'words'),
    [
        ('<clock name="now"/>', "sensor 'now' is a clock"),
        ('<user name="own" dim="1"/>', "sensor 'own' is computed by a callback"),
        (
            '<jointpos name="late" joint="hinge" nsample="4" delay="0.02"/>',
            "sensor 'late' is delayed",
        ),
    ],
)  # fmt: skip
def test_what_backends_would_not_agree_on_is_refused_by_name(sensor, words):
    text = BALL.replace('SENSORS', f'<sensor>{sensor}</sensor>')
    with pytest.raises(TaskError, match=words):
        check_task(task_of(text))
    late = PLAIN.replace('joint="slide" ctrl', 'joint="slide" nsample="3" delay="0.02" ctrl')
    with pytest.raises(TaskError, match="actuator 'push' is delayed"):
        check_task(task_of(late))
    with pytest.raises(TaskError, match='userdata'):
        check_task(task_of(PLAIN.replace('<worldbody>', '<size nuserdata="3"/><worldbody>')))


def test_starts_are_at_keyframes_and_near_them():
    at = mpq_jax.starts_near(PLAIN, 'home')(jax.random.key(0))
    np.testing.assert_allclose(at.qpos, [0.2, 0.4])
    np.testing.assert_allclose(at.qvel, [1, -1])
    np.testing.assert_allclose(mpq_jax.starts_near(PLAIN, 1)(jax.random.key(0)).qpos, [0, 3])
    assert not np.any(mpq_jax.starts_near(PLAIN)(jax.random.key(0)).qpos)
    near = mpq_jax.starts_near(
        PLAIN, 'home', position_noise=0.1, velocity_noise=0.5, variables=lambda k: 7.0
    )
    starts = jax.vmap(near)(jax.random.split(jax.random.key(0), 500))
    away = np.abs(np.asarray(starts.qpos) - [0.2, 0.4]).max(axis=0)
    assert (away > 0.08).all() and (away <= 0.1).all() and starts.variables[0] == 7.0
    with pytest.raises(TaskError, match=r"'hom'.*home, number 1.*did you mean 'home'"):
        mpq_jax.starts_near(PLAIN, 'hom')


def test_free_bodies_are_moved_and_turned_about_their_keyframe():
    text = '<mujoco><worldbody><body><freejoint/><geom size="1"/></body></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(text)
    starts = jax.vmap(mpq_jax.starts_near(text, position_noise=0.5))(
        jax.random.split(jax.random.key(0), 300)
    )
    turns = np.zeros((300, model.nv))
    for out, qpos in zip(turns, np.asarray(starts.qpos, float), strict=True):
        mujoco.mj_differentiatePos(model, out, 1.0, model.qpos0, qpos)
    assert (np.abs(turns) <= 0.5 + 1e-5).all() and (np.abs(turns).max(axis=0) > 0.4).all()
    np.testing.assert_allclose(np.linalg.norm(starts.qpos[:, 3:], axis=1), 1, rtol=1e-6)


def test_a_robot_of_menagerie_comes_from_a_checkout(tmp_path, monkeypatch):
    (tmp_path / 'cart').mkdir()
    (tmp_path / 'cart' / 'scene.xml').write_text(PLAIN)
    monkeypatch.setenv('MENAGERIE_ROOT', str(tmp_path))
    assert load_model(task_of(mpq_jax.menagerie('cart')), PhysicsConfig()).nu == 1
    for name, entry, words in (
        ('card', 'scene', "did you mean 'cart'"),
        ('cart', 'mjx', 'its entries are scene'),
    ):
        with pytest.raises(TaskError, match=words):
            load_model(task_of(mpq_jax.menagerie(name, entry)), PhysicsConfig())
    monkeypatch.delenv('MENAGERIE_ROOT')
    with pytest.raises(TaskError, match='MENAGERIE_ROOT'):
        load_model(task_of(mpq_jax.menagerie('cart')), PhysicsConfig())


def test_a_task_without_views_has_the_program_that_it_had():
    """Sensors and `advance` are free where they are not used."""
    task = task_of()
    simulator = mpq_jax.make_simulator(task, PhysicsConfig('mjx'))
    assert dataclasses.replace(task).views == {} and not load_model(task, PhysicsConfig()).nsensor
    state = simulator.state(task.reset(jax.random.key(0)))
    following, reading = simulator.step(simulator.true_model(), state, jnp.zeros(1))
    assert reading.sensors == {} and following.variables == ()
