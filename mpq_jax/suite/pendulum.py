"""PendulumSwingup: Gym's pendulum, whose true mass and length the planner does not know.

Constants are Gymnasium's `Pendulum-v1` (g 10, dt 0.05, torque 2, speed limit 8); start
range, discount and the planner's ranges are the paper's (Table 1 and appendix).
"""

from pathlib import Path

import jax
import jax.numpy as jnp

from mpq_jax.suite.table_3 import LONG_HORIZON, TABLE_3, paper_presets
from mpq_jax.suite.tuned_settings import CHOSEN_ON, TEMPERATURES
from mpq_jax.tasks import RandomizedParameter, Reading, Start, Task

GRAVITY, MAX_TORQUE, MAX_SPEED, TIMESTEP = 10.0, 2.0, 8.0, 0.05


def wrap(angle):
    """The angle in [-pi, pi]; 0 is upright. `%` takes a CPU twenty times as long."""
    return angle - 2 * jnp.pi * jnp.round(angle / (2 * jnp.pi))


def reset(key) -> Start:
    high = jnp.array([jnp.pi, 1.0])
    state = jax.random.uniform(key, (2,), minval=-high, maxval=high)
    return Start(qpos=state[:1], qvel=state[1:])


def observe(reading: Reading, variables) -> jax.Array:
    return jnp.concatenate([jnp.cos(reading.qpos), jnp.sin(reading.qpos), reading.qvel])


def cost(reading: Reading, variables, action) -> jax.Array:
    """theta^2 + 0.1 thetadot^2 of the state before the step; no torque term."""
    return wrap(reading.qpos[0]) ** 2 + 0.1 * reading.qvel[0] ** 2


def limit_speed(qpos, qvel, timestep: float):
    """Clips the speed before the angle is integrated, as Gymnasium does."""
    limited = qvel.clip(-MAX_SPEED, MAX_SPEED)
    return qpos + timestep * (limited - qvel), limited


def equations(parameters, qpos, qvel, action):
    """Semi-implicit Euler of a uniform rod about its end: one control step."""
    mass, length = parameters['mass'], parameters['length']
    gravity_term = 1.5 * GRAVITY / length * jnp.sin(qpos)
    torque_term = 3.0 / (mass * length**2) * MAX_TORQUE * action
    qvel = (qvel + TIMESTEP * (gravity_term + torque_term)).clip(-MAX_SPEED, MAX_SPEED)
    return qpos + TIMESTEP * qvel, qvel


def set_parameters(model, values) -> None:
    """The rod's length moves its centre of mass and inertia with it."""
    mass, length = values['mass'], values['length']
    rod = model.body('rod')
    rod.mass[:] = mass
    rod.ipos[:] = (0.0, 0.0, length / 2)
    across = mass * length**2 / 12
    rod.inertia[:] = (across, across, 0.001)


def make_task() -> Task:
    return Task(
        name='pendulum',
        episode_steps=200,
        control_timestep=TIMESTEP,
        reset=reset,
        observe=observe,
        observation_names=('cosine', 'sine', 'angular_velocity'),
        cost=cost,
        mjcf=Path(__file__).with_name('pendulum.xml'),
        equations=equations,
        after_physics_step=limit_speed,
        parameters=(
            RandomizedParameter('mass', 1.0, 0.9, 1.5),
            RandomizedParameter('length', 1.0, 0.9, 1.5),
        ),
        set_parameters=set_parameters,
        # One batch of the prior does as well as the paper's three iterations (BUILD_NOTES.md).
        # Plans are lines: with noise on two knots MPQ and plain MPPI return more.
        settings=TABLE_3['PendulumSwingup']
        | {'learner.target_iterations': 0, 'planner.noise': 'knots', 'planner.knots': 2},
        presets=paper_presets('PendulumSwingup', **{'planner.noise': 'white'}),
        agent_settings=TEMPERATURES['pendulum'],
        settings_chosen_on=CHOSEN_ON['pendulum'],
        long_horizon=LONG_HORIZON['PendulumSwingup'],
        signals={
            'angle [rad]': lambda transitions: wrap(transitions.state.qpos),
            'torque [N m]': lambda transitions: MAX_TORQUE * transitions.action,
        },
    )
