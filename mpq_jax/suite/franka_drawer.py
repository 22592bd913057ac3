"""FrankaDrawerOpen: a Panda pulls a drawer open by its bar; every joint follows a velocity.

From the paper (section 5, Tables 1 and 3): the cost, success within 1 cm of the target, four
seconds, a random start of the arm, damping = frictionloss = 0.1 on all joints and the planner's
belief in them, the planner's settings. Its observation has 39 numbers, of which it names 31; the
other eight are ours (joint angles, remaining displacement), so that the arm's whole posture is
seen. From Franka: link frames, limits of joints and forces (`franka_drawer.xml`).

Not disclosed, so ours, and chosen by plain MPPI alone (BUILD_NOTES.md): the drawer and where it
stands, the target, the start range, the speed limit, the time steps.
"""

from pathlib import Path

import jax
import jax.numpy as jnp

from mpq_jax.suite.naming import names_of
from mpq_jax.suite.table_3 import LONG_HORIZON, TABLE_3, paper_presets
from mpq_jax.suite.tuned_settings import CHOSEN_ON, FEW_STATES, TEMPERATURES, physics
from mpq_jax.tasks import RandomizedParameter, Reading, Start, Task

# Ours. qpos and qvel are the arm's seven joints and the drawer's displacement.
HOME = (0.0, -0.785398, 0.0, -2.356194, 0.0, 1.570796, -0.785398)  # fingers across the bar
START_RANGE = 0.2  # rad, about HOME, of each joint
TARGET = 0.3  # m

SUCCESS_TOLERANCE, ANGLE_WEIGHT = 0.01, 0.08  # m, 1/rad: the paper's

# Table 1: 0.1 x U[1 + 0.1 - 10, 1 + 0.1 + 10]; 44 % of the draws are negative and become 0.
TRUE_FRICTION, FRICTION_LOW, FRICTION_HIGH = 0.1, -0.89, 1.11
# Not 0: MJX keeps the constraint of a nominally positive frictionloss, and holds the joint at 0.
LEAST_FRICTIONLOSS = 1e-4


def remaining(reading: Reading) -> jax.Array:
    """What is left of the drawer's way to its target, metres; negative beyond it."""
    return TARGET - reading.qpos[7]


def rotation_between(first: jax.Array, second: jax.Array) -> jax.Array:
    """Of two unit quaternions `[4]` (w first): conj(first) * second, with w >= 0."""
    w, v = first[0], -first[1:]
    difference = jnp.concatenate([
        (w * second[0] - v @ second[1:])[None],
        w * second[1:] + second[0] * v + jnp.cross(v, second[1:]),
    ])  # fmt: skip
    return jnp.where(difference[0] < 0, -difference, difference)


def angle_of(rotation: jax.Array) -> jax.Array:
    """The angle of a unit quaternion with w >= 0, radians in [0, pi]."""
    return 2 * jnp.arctan2(jnp.linalg.norm(rotation[1:]), rotation[0])


def cost(reading: Reading, variables, action) -> jax.Array:
    """d(ee, handle) + 0.08 d_ang(ee, handle) - 1 + |remaining| / target: metres, radians."""
    at = reading.sensors
    way = at['handle_position'] - at['end_effector_position']
    turn = rotation_between(at['end_effector_orientation'], at['handle_orientation'])
    open_cost = jnp.abs(remaining(reading)) / TARGET
    return jnp.linalg.norm(way) + ANGLE_WEIGHT * angle_of(turn) - 1 + open_cost


def success(reading: Reading, variables) -> jax.Array:
    return jnp.abs(remaining(reading)) < SUCCESS_TOLERANCE


def observe(reading: Reading, variables) -> jax.Array:
    """`[39]`: the paper's 31 in its order, then joint angles `[7]` and remaining displacement."""
    at = reading.sensors
    way = at['handle_position'] - at['end_effector_position']
    turn = rotation_between(at['end_effector_orientation'], at['handle_orientation'])
    return jnp.concatenate([
        at['end_effector_position'], at['handle_position'], way,
        at['end_effector_velocity'], at['handle_velocity'],
        at['end_effector_orientation'], at['handle_orientation'],
        reading.qpos[7:], jnp.linalg.norm(way)[None],
        turn, angle_of(turn)[None], jnp.array([TARGET]),
        reading.qpos[:7], remaining(reading)[None],
    ])  # fmt: skip


def reset(key) -> Start:
    """At rest, the drawer shut, each joint uniform about HOME."""
    offset = jax.random.uniform(key, (7,), minval=-START_RANGE, maxval=START_RANGE)
    return Start(qpos=jnp.append(jnp.array(HOME) + offset, 0.0), qvel=jnp.zeros(8))


def set_parameters(model, values) -> None:
    """Negative draws are clipped at 0, those of frictionloss just above it."""
    for joints, dofs in (('arm', slice(0, 7)), ('drawer', slice(7, 8))):
        model.dof_damping[dofs] = max(values[f'{joints}_damping'], 0.0)
        model.dof_frictionloss[dofs] = max(values[f'{joints}_frictionloss'], LEAST_FRICTIONLOSS)


def make_task() -> Task:
    names = ('arm_damping', 'arm_frictionloss', 'drawer_damping', 'drawer_frictionloss')
    return Task(
        name='franka_drawer',
        episode_steps=100,
        control_timestep=0.04,
        reset=reset,
        observe=observe,
        observation_names=names_of(
            {
                'end_effector': 'xyz',
                'handle': 'xyz',
                'end_effector_to_handle': 'xyz',
                'end_effector_velocity': 'xyz',
                'handle_velocity': 'xyz',
                'end_effector_orientation': 'wxyz',
                'handle_orientation': 'wxyz',
                'drawer_displacement': '',
                'distance_to_handle': '',
                'turn_to_handle': 'wxyz',
                'angle_to_handle': '',
                'target_displacement': '',
                'joint': '1234567',
                'remaining_displacement': '',
            }
        ),
        cost=cost,
        success=success,
        mjcf=Path(__file__).with_name('franka_drawer.xml'),
        parameters=tuple(
            RandomizedParameter(name, TRUE_FRICTION, FRICTION_LOW, FRICTION_HIGH) for name in names
        ),
        set_parameters=set_parameters,
        settings=TABLE_3['FrankaDrawerOpen']
        | physics('real_physics', 0.005, 4, 8)
        | physics('planner_physics', 0.02, 4, 8)
        | FEW_STATES,
        presets=paper_presets('FrankaDrawerOpen', **physics('planner_physics', 0.005, 4, 8)),
        agent_settings=TEMPERATURES['franka_drawer'],
        settings_chosen_on=CHOSEN_ON['franka_drawer'],
        long_horizon=LONG_HORIZON['FrankaDrawerOpen'],
        signals={
            'drawer [m]': lambda transitions: transitions.state.qpos[:, 7],
            'end effector to handle [m]': lambda transitions: transitions.observation[:, 24],
            'joint velocities': lambda transitions: transitions.action,
        },
    )
