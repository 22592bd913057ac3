"""HalfCheetah, Hopper, Walker2d, Swimmer, Ant and the humanoids: forward, at little control.

An environment pays (x_{t+1} - x_t) / dt for a control step, and a task's cost is of s_t: the
position before is kept in the variables, and what s_t has moved since is paid at s_t.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.suite.gymnasium.installed import Installed
from mpq_jax.suite.gymnasium.starts import near_initial
from mpq_jax.tasks import Reading, View, cost_to_go


class Before(NamedTuple):
    """A control step ago."""

    x: Any  # m
    known: Any  # 1; 0 at the start of an episode, where nothing is gained


_ZERO = np.zeros((), np.float32)
START = Before(_ZERO, _ZERO)


def runner(
    environment: Installed,
    discount: float,
    *,
    hidden: int = 1,
    speed_limit: float | None = None,
    normal_velocity: bool = False,
    healthy: Callable[[Installed, Reading], jax.Array] | None = None,
    place: Callable[[Reading], jax.Array] = lambda reading: reading.qpos[0],
) -> dict[str, Any]:
    """A task's parts.

    Args:
      environment: whose constants hold.
      discount: of the terminal cost.
      hidden: the first entries of qpos that are not observed.
      speed_limit: what velocities are clipped at in the observation.
      normal_velocity: whether starts have normal velocities, or uniform ones.
      healthy: without it an episode ends by its time limit alone.
      place: x of a reading, m.
    """
    c, dt = environment.constants, environment.timestep
    forward_weight = c['forward_reward_weight']

    def cost(reading: Reading, before: Before, action) -> jax.Array:
        """ctrl_cost_weight |ctrl_t|^2 - forward_reward_weight (x_t - x_{t-1}) / dt."""
        velocity = before.known * (place(reading) - before.x) / dt
        return control_cost(environment, action) - forward_weight * velocity

    def advance(reading: Reading, before: Before, action) -> Before:
        x = place(reading)
        return Before(x, jnp.ones_like(x))

    def observe(reading: Reading, before: Before) -> jax.Array:
        """qpos from `hidden` on, and qvel, as the environment's."""
        qvel = reading.qvel
        if speed_limit is not None:
            qvel = jnp.clip(qvel, -speed_limit, speed_limit)
        return jnp.concatenate([reading.qpos[hidden:], qvel])

    parts: dict[str, Any] = {
        'mjcf': environment.path,
        'reset': near_initial(environment, normal_velocity=normal_velocity, variables=START),
        'observe': observe,
        'cost': cost,
        'advance': advance,
    }
    if healthy is not None:
        parts['terminated'] = lambda reading, variables: ~healthy(environment, reading)
        parts['terminal_cost'] = cost_to_go(c['healthy_reward'], discount)
    return parts


def planar(environment: Installed, discount: float, *, hidden: int = 1, **others) -> dict[str, Any]:
    """Of a runner on two slides, x and z (or y), and hinges: `hidden` of the slides matter to none.

    A learned model is not shown these either: nothing depends on how far it has run.
    """

    def features(qpos, qvel, before: Before) -> jax.Array:
        angles = qpos[2:]
        return jnp.concatenate([qpos[hidden:2], jnp.sin(angles), jnp.cos(angles), qvel])

    parts = runner(environment, discount, hidden=hidden, **others)
    return parts | {'dynamics_features': features}


def control_cost(environment: Installed, action: jax.Array) -> jax.Array:
    """ctrl_cost_weight |ctrl|^2, in actuator units, of an action in [-1, 1]."""
    return environment.constants['ctrl_cost_weight'] * jnp.sum((environment.ctrl * action) ** 2)


def half_cheetah(environment: Installed, discount: float) -> dict[str, Any]:
    return planar(environment, discount, normal_velocity=True)


def swimmer(environment: Installed, discount: float) -> dict[str, Any]:
    return planar(environment, discount, hidden=2)


def upright(environment: Installed, reading: Reading) -> jax.Array:
    """Height and pitch of the torso within the environment's ranges."""
    c, (z, angle) = environment.constants, reading.qpos[1:3]
    return within(z, c['healthy_z_range']) & within(angle, c['healthy_angle_range'])


def within(value: jax.Array, bounds: tuple[float, float]) -> jax.Array:
    return (bounds[0] < value) & (value < bounds[1])


def walker(environment: Installed, discount: float) -> dict[str, Any]:
    return planar(environment, discount, speed_limit=10.0, healthy=upright)


def hopper(environment: Installed, discount: float) -> dict[str, Any]:
    """As the walker; every other number of its state is to stay within a range as well."""

    def healthy(environment: Installed, reading: Reading) -> jax.Array:
        others = jnp.concatenate([reading.qpos[2:], reading.qvel])
        bounds = environment.constants['healthy_state_range']
        return upright(environment, reading) & jnp.all(within(others, bounds))

    return planar(environment, discount, speed_limit=10.0, healthy=healthy)


def ant(environment: Installed, discount: float) -> dict[str, Any]:
    """Its x is that of the torso's frame."""

    def healthy(environment: Installed, reading: Reading) -> jax.Array:
        low, high = environment.constants['healthy_z_range']
        return (low <= reading.qpos[2]) & (reading.qpos[2] <= high)

    parts = runner(
        environment,
        discount,
        hidden=2,
        normal_velocity=True,
        healthy=healthy,
        place=lambda reading: reading.sensors['torso'][0],
    )
    return parts | {'views': {'torso': View('body', 'torso')}}


def humanoid(environment: Installed, discount: float) -> dict[str, Any]:
    """Its x is that of the centre of mass, which a sensor is added for."""

    def mjcf() -> mujoco.MjSpec:
        spec = mujoco.MjSpec.from_file(str(environment.path))
        sensor = spec.add_sensor(name='centre_of_mass', objname='torso')
        sensor.type = mujoco.mjtSensor.mjSENS_SUBTREECOM
        sensor.objtype = mujoco.mjtObj.mjOBJ_BODY
        return spec

    def healthy(environment: Installed, reading: Reading) -> jax.Array:
        return within(reading.qpos[2], environment.constants['healthy_z_range'])

    parts = runner(
        environment,
        discount,
        hidden=2,
        healthy=healthy,
        place=lambda reading: reading.sensors['centre_of_mass'][0],
    )
    return parts | {'mjcf': mjcf}


def humanoid_standup(environment: Installed, discount: float) -> dict[str, Any]:
    """Paid for the torso's height over a physics step's seconds, and 1 a step."""

    def cost(reading: Reading, variables, action) -> jax.Array:
        rise = reading.qpos[2] / environment.physics_timestep
        return control_cost(environment, action) - rise - 1.0

    return {
        'mjcf': environment.path,
        'reset': near_initial(environment, normal_velocity=False),
        'observe': lambda reading, variables: jnp.concatenate([reading.qpos[2:], reading.qvel]),
        'cost': cost,
    }
