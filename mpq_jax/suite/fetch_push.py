"""FetchPushBlock: push a block on a table to a goal, with a gripper that stays closed.

The environment is Gymnasium-Robotics' FetchPush: its sizes, masses, contact parameters, control
(0.05 m an action, from where the gripper is), the 25 first observations, start and goal ranges.
Cost, the eight other observations, episode length, the randomised parameters and their ranges are
the paper's (section 5, Table 1: each parameter times U[0.90, 1.80], the reading of its
U[0.35 +- 0.45] that leaves masses positive).

Ours to choose: the plant without the arm (fetch_push.xml), on a table without edges; the gains of
its servos; its contact with the table as one sphere; and what a half-size means for a model that
plans from where the true block lies. The plane under the block moves down as the size grows, so
that the centre rests where the true one's does, and the inertia grows with the square of the size.
For every agent: two MPPI iterations a control step, and a control term discounted like the costs;
as the paper writes it (preset 'paper'), one, and undiscounted. BUILD_NOTES.md has what each gave.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.suite.naming import names_of
from mpq_jax.suite.table_3 import LONG_HORIZON, TABLE_3, paper_presets
from mpq_jax.suite.tuned_settings import CHOSEN_ON, FEW_STATES, TEMPERATURES, physics
from mpq_jax.tasks import RandomizedParameter, Reading, Start, Task

# Metres, in the world. qpos is (gripper [3], block [3], block's quaternion [4]); the gripper is
# where FetchPush has its grip site.
HOME = (1.342, 0.749, 0.42)  # of the gripper
RESTING_HEIGHT = 0.425  # of the block's centre
START_RANGE, START_DISTANCE = 0.15, 0.1  # of block and goal about the gripper; the block's least
REACH = 0.05  # of an action
SUCCESS_DISTANCE = 0.05
CONTROL_TIMESTEP = 0.04  # seconds; the environment multiplies velocities by it
HALF_SIZE, MASS, INERTIA = 0.025, 2.0, 8.33e-4
FRICTION = (1.0, 1.0, 0.005, 1e-4, 1e-4)
LOW, HIGH = 0.9, 1.8  # of the planner's belief, times the true value

# Servo gains per kilogram for a physics step of so many seconds: fitted to the response of the
# environment's mocap weld (solref 0.02 1, at 0.002 s) to steps of 20 mm, to 0.4 mm rms.
TIMESTEPS = (0.002, 0.004, 0.005, 0.01)
STIFFNESS = (2510.0, 2113.0, 1952.0, 1380.0)
DAMPING = (101.7, 87.4, 81.5, 60.7)

# Of the fourth action the fingers would take: nothing, they are blocked.
FROM_GRIPPER = np.array([1.0, 1.0, 1.0, 0.0], np.float32)


def control(qpos, qvel, action):
    """Targets of the servos: from where the gripper is now, 0.05 m an action."""
    return FROM_GRIPPER * (qpos[..., :4] + REACH * action)


def rotation(quaternion: jax.Array) -> jax.Array:
    """Quaternion `[4]` (w first, any length) -> matrix `[3, 3]`."""
    w, x, y, z = quaternion / jnp.linalg.norm(quaternion)
    return jnp.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def euler_angles(matrix: jax.Array) -> jax.Array:
    """Angles `[3]` about x, y', z'' of a rotation, as Gymnasium-Robotics' `mat2euler`."""
    across = jnp.hypot(matrix[1, 2], matrix[2, 2])
    return jnp.stack([
        jnp.arctan2(-matrix[1, 2], matrix[2, 2]),
        jnp.arctan2(matrix[0, 2], across),
        jnp.arctan2(-matrix[0, 1], matrix[0, 0]),
    ])  # fmt: skip


def cost(reading: Reading, goal, action) -> jax.Array:
    """The distance of the block from the goal `[3]`, metres."""
    return jnp.linalg.norm(goal - reading.qpos[3:6])


def success(reading: Reading, goal) -> jax.Array:
    return cost(reading, goal, None) < SUCCESS_DISTANCE


def observe(reading: Reading, goal) -> jax.Array:
    """`[33]`: FetchPush's 25, then distances and ways from gripper to block to goal, and the goal.

    The environment's velocities are displacements in a control step, the block's relative to the
    gripper's; what it says of the fingers is 0.
    """
    gripper, block, quaternion = jnp.split(reading.qpos, (3, 6))
    gripper_velocity, block_velocity, spin = jnp.split(reading.qvel * CONTROL_TIMESTEP, (3, 6))
    turned = rotation(quaternion)
    return jnp.concatenate([
        gripper, block, block - gripper, jnp.zeros(2), euler_angles(turned),
        block_velocity - gripper_velocity, turned @ spin, gripper_velocity, jnp.zeros(2),
        jnp.linalg.norm(block - gripper, keepdims=True), goal - block,
        jnp.linalg.norm(goal - block, keepdims=True), goal,
    ])  # fmt: skip


def reset(key) -> Start:
    """The gripper at home, the block at rest near it and no nearer than 0.1 m, a goal."""
    key, goal_key = jax.random.split(key)

    def about_home(key):
        return jax.random.uniform(key, (2,), minval=-START_RANGE, maxval=START_RANGE)

    def redraw(carry):
        key, drawn = jax.random.split(carry[0])
        return key, about_home(drawn)

    _, block = jax.lax.while_loop(
        lambda carry: jnp.linalg.norm(carry[1]) < START_DISTANCE, redraw, redraw((key, None))
    )
    home, height = jnp.array(HOME), jnp.array([RESTING_HEIGHT])
    return Start(
        qpos=jnp.concatenate([home, home[:2] + block, height, jnp.array([1.0, 0.0, 0.0, 0.0])]),
        qvel=jnp.zeros(9),
        variables=jnp.concatenate([home[:2] + about_home(goal_key), height]),
    )


def set_parameters(model, values) -> None:
    """Edits the block, and with its size the table; sets the servos for the model's time step."""
    half_size, friction = values['half_size'], values['friction'] * np.array(FRICTION)
    block, geom = model.body('block'), model.geom('block')
    block.mass[:] = values['mass']
    block.inertia[:] = values['inertia'] * (half_size / HALF_SIZE) ** 2
    geom.size[:] = half_size
    geom.rbound[:] = np.sqrt(3) * half_size
    model.geom_aabb[geom.id, 3:] = half_size
    model.geom('support').pos[2] = RESTING_HEIGHT - half_size
    for name in ('push', 'slide'):
        model.pair(name).friction[:] = friction
    weight = model.body('gripper').mass[0]
    stiffness, damping = (np.interp(model.opt.timestep, TIMESTEPS, x) for x in (STIFFNESS, DAMPING))
    for name in ('x', 'y', 'z'):
        servo = model.actuator(name)
        servo.gainprm[0] = weight * stiffness
        servo.biasprm[1:3] = -weight * stiffness, -weight * damping


def make_task() -> Task:
    true_values = {'mass': MASS, 'inertia': INERTIA, 'friction': 1.0, 'half_size': HALF_SIZE}
    return Task(
        name='fetch_push',
        episode_steps=100,
        control_timestep=CONTROL_TIMESTEP,
        reset=reset,
        observe=observe,
        observation_names=names_of(
            {
                'gripper': 'xyz',
                'block': 'xyz',
                'gripper_to_block': 'xyz',
                'fingers': '12',
                'block_angle': 'xyz',
                'block_relative_displacement': 'xyz',
                'block_turn': 'xyz',
                'gripper_displacement': 'xyz',
                'fingers_displacement': '12',
                'gripper_to_block_distance': '',
                'block_to_goal': 'xyz',
                'block_to_goal_distance': '',
                'goal': 'xyz',
            }
        ),
        cost=cost,
        success=success,
        variables_at=lambda reading, position_of: position_of('goal'),
        control=control,
        mjcf=Path(__file__).with_name('fetch_push.xml'),
        parameters=tuple(
            RandomizedParameter(name, value, LOW * value, HIGH * value)
            for name, value in true_values.items()
        ),
        set_parameters=set_parameters,
        settings=TABLE_3['FetchPushBlock']
        | physics('real_physics', 0.002, 4, 8)
        | physics('planner_physics', 0.01, 4, 8)
        | FEW_STATES
        | {'planner.iterations': 2, 'planner.control_discount': 0.9},
        presets=paper_presets(
            'FetchPushBlock',
            **physics('planner_physics', 0.002, 4, 8),
            **{'planner.iterations': 1, 'planner.control_discount': 1.0},
        ),
        agent_settings=TEMPERATURES['fetch_push'],
        settings_chosen_on=CHOSEN_ON['fetch_push'],
        long_horizon=LONG_HORIZON['FetchPushBlock'],
        goal=lambda variables: variables,
        signals={
            'block to goal [m]': lambda transitions: transitions.observation[:, 29],
            'gripper to block [m]': lambda transitions: transitions.observation[:, 25],
        },
    )
