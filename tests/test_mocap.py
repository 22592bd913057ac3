"""Mocap bodies that a task's variables place: the same on every backend and real system."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import rollout
from mpq_jax.environments.episode import run_episode
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.environments.stepwise import StepwiseRunner
from mpq_jax.figures.video import mocap_poses
from mpq_jax.planning import scoring
from mpq_jax.planning.agent import Agent
from mpq_jax.tasks.check import check_task
from tests.test_any_model import PLAIN, task_of

# A hand that something else moves, and which a spring holds the pole's end to.
HAND = """<worldbody>
    <body name="hand" mocap="true" pos="0.3 0 0.5">
      <site name="grip" pos="0.1 0 0"/><site name="middle"/>
    </body>
    <body name="lamp" mocap="true" pos="0 2 0" quat="0 1 0 0"><site name="bulb"/></body>
"""
SPRING = """<tendon><spatial stiffness="40"><site site="grip"/><site site="end"/></spatial></tendon>
  <actuator>"""
MJCF = PLAIN.replace('<worldbody>', HAND).replace('<actuator>', SPRING)
VIEWS = {
    'grip': mpq_jax.View('site', 'grip'), 'end': mpq_jax.View('site', 'end'),
    'turned': mpq_jax.View('body', 'hand', 'quaternion'), 'bulb': mpq_jax.View('body', 'lamp'),
}  # fmt: skip
ACTIONS = jnp.array([[0.3], [-0.5], [0.9], [0.1]])
PLANNER = PlannerConfig(horizon=4, num_samples=6, temperature=1.0, noise_variance=1.0)


def mocap(variables):
    """The hand, by the time and by what was read; its quaternion need not be of unit length."""
    place = jnp.stack([variables['shift'], 0.1, 0.5])
    angle = 2.0 * variables['time']
    turn = 3.0 * jnp.stack([jnp.cos(angle), 0.0, jnp.sin(angle), 0.0])
    return {'hand': jnp.concatenate([place, turn])}


def advance(reading, variables, action):
    """Away from the end of the pole, which is read: no plan knows the hand beforehand."""
    shift = 0.5 - reading.sensors['end'][0] + 0.1 * action[0]
    return {'time': variables['time'] + 0.02, 'shift': shift}


def variables(key):
    return {'time': jnp.float32(0.3), 'shift': jnp.float32(0.3)}


def held(**changes):
    fields = {
        'name': 'held', 'mjcf': MJCF, 'views': VIEWS, 'mocap': mocap, 'advance': advance,
        'reset': mpq_jax.starts_near(PLAIN, 'home', position_noise=0.1, variables=variables),
        'cost': lambda reading, variables, action: (
            jnp.sum((reading.sensors['grip'] - reading.sensors['end']) ** 2)
        ),
    }  # fmt: skip
    return task_of(**(fields | changes))


def expected(task):
    """States and readings of MuJoCo itself, control step by control step."""
    model = mujoco.MjModel.from_xml_string(MJCF)
    data = mujoco.MjData(model)
    start = task.reset(jax.random.key(0))
    data.qpos[:], data.qvel[:], now = start.qpos, start.qvel, start.variables
    found = []
    for action in [*ACTIONS, None]:
        pose = np.asarray(task.mocap(now)['hand'])
        data.mocap_pos[0] = pose[:3]
        if len(pose) == 7:
            data.mocap_quat[0] = pose[3:]
        mujoco.mj_forward(model, data)
        sensors = {
            'grip': data.site('grip').xpos.copy(), 'end': data.site('end').xpos.copy(),
            'turned': data.body('hand').xquat.copy(), 'bulb': data.body('lamp').xpos.copy(),
        }  # fmt: skip
        reading = mpq_jax.Reading(data.qpos.copy(), data.qvel.copy(), sensors)
        found.append(reading)
        if action is not None:
            data.ctrl[:] = 5 * action
            mujoco.mj_step(model, data, 2)
            now = task.advance(reading, now, action) if task.advance else now
    return jax.tree.map(lambda *x: np.stack(x), *found)


BACKENDS = [
    PhysicsConfig('mjx', straight_line='off'), PhysicsConfig('mjx', straight_line='on'),
    PhysicsConfig('mujoco'),
]  # fmt: skip
TASKS = {
    'moving': held(), 'still': held(advance=None),
    'by place': held(mocap=lambda v: {'hand': mocap(v)['hand'][:3]}),
}  # fmt: skip


@pytest.mark.parametrize(
    ('kind', 'physics'),
    [
        ('moving', BACKENDS[0]), ('moving', BACKENDS[1]), ('moving', BACKENDS[2]),
        ('still', BACKENDS[2]), ('by place', BACKENDS[2]),
    ],
)  # fmt: skip
def test_a_rollout_has_them_where_mujoco_has_them(kind, physics):
    task = TASKS[kind]
    simulator = mpq_jax.make_simulator(task, physics)
    start, model = simulator.state(task.reset(jax.random.key(0))), simulator.true_model()
    steps = jax.jit(lambda: rollout(simulator, model, start, ACTIONS, keep=True))()
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, atol=2e-4), steps.along.readings,
        expected(task),
    )  # fmt: skip
    grip = steps.along.readings.sensors['grip']
    assert (np.ptp(grip, axis=0).max() > 0.01) == (kind != 'still')
    first = simulator.read(model, start)
    np.testing.assert_allclose(first.sensors['grip'], grip[0], atol=1e-6)


def test_plans_from_many_states_on_many_models_have_their_own():
    """As the planner asks: states, draws and samples, each with variables of its own."""
    heavy = held(
        parameters=(mpq_jax.RandomizedParameter('mass', 1.0, 0.5, 2.0),),
        set_parameters=lambda model, values: model.body_mass.__setitem__(2, values['mass']),
    )
    plans = jax.random.uniform(jax.random.key(1), (6, 4, 1), minval=-1.0)
    totals = []
    for physics in (BACKENDS[0], BACKENDS[2]):
        simulator = mpq_jax.make_simulator(heavy, physics)
        models = simulator.make_models({'mass': np.array([0.5, 2.0])})
        keys = jax.random.split(jax.random.key(0), 3)

        def cost(key, simulator=simulator, models=models):
            state = simulator.state(heavy.reset(key))
            return scoring.score(PLANNER, simulator, heavy.cost, models, state, plans)

        totals.append(jax.jit(jax.vmap(cost))(keys))
    np.testing.assert_allclose(totals[0], totals[1], rtol=1e-3)
    assert np.ptp(totals[0]) > 0.01


@pytest.mark.slow
def test_an_episode_has_them_on_every_real_system():
    task = TASKS['moving']
    simulator = mpq_jax.make_simulator(task, BACKENDS[0])
    agent = Agent(simulator, None)
    models = jax.tree.map(lambda x: x[None], simulator.true_model())
    keys = jax.random.split(jax.random.key(3), 2)
    run = jax.vmap(lambda key: run_episode(PLANNER, agent, simulator, (), models, key))
    one = jax.jit(run)(keys)
    pair = jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *jnp.shape(x))), (PLANNER, models))
    runner = StepwiseRunner(pair[0], agent, (), pair[1])
    other = runner.run(pair[0], (), pair[1], make_native_systems(task, BACKENDS[2], 2), keys)
    mine, theirs = (
        (episode.transitions.cost, episode.transitions.next_state._replace(warmstart=()))
        for episode in (one, other)
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=2e-3), mine, theirs)


@pytest.mark.parametrize(
    ('returned', 'words'),
    [
        (jnp.zeros(3), r'mocap returned an array .* a dict of bodies'),
        ({'hand': jnp.zeros(4)}, r"mocap returned .*\[4\].* this is 'hand'"),
        ({'hand': 0.0}, r"a Python float.* this is 'hand'"),
        ({'pole': jnp.zeros(3)}, r"'pole', which is no body with mocap.*there are: hand, lamp"),
        ({'hands': jnp.zeros(3)}, r"did you mean 'hand'"),
        ({'hand': jnp.zeros(7)}, '(?s)mocap gives .*finite'),
    ],
)
def test_what_mocap_must_return(returned, words):
    with pytest.raises(TaskError, match=words):
        check_task(held(mocap=lambda variables: returned))


def test_bodies_need_an_mjcf():
    with pytest.raises(TaskError, match='mocap and no MJCF'):
        check_task(held(mjcf=None, equations=lambda p, q, v, a: (q, v), action_size=1))


def test_pictures_have_them_too():
    task = held()
    model = mujoco.MjModel.from_xml_string(MJCF)
    given = {'time': np.float32([0.0, 0.1]), 'shift': np.float32([0.2, 0.4])}
    poses = mocap_poses(task, model, given)
    np.testing.assert_allclose(poses[:, 0, 0], [0.2, 0.4])
    np.testing.assert_allclose(poses[:, 1], np.tile([0, 2, 0, 0, 1, 0, 0], (2, 1)))
    assert mocap_poses(task_of(), model, ()) is None
