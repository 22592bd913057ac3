"""Ready-made `reset` functions: starts at, or near, a model's keyframe."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import mujoco

from mpq_jax.base.validation import TaskError, nearest
from mpq_jax.tasks.model_source import Source, make_model
from mpq_jax.tasks.task import Start


def starts_near(
    source: Source,
    keyframe: str | int | None = None,
    *,
    position_noise: float = 0.0,
    velocity_noise: float = 0.0,
    assets: Mapping[str, bytes] | None = None,
    variables: Callable[[jax.Array], object] | None = None,
) -> Callable[[jax.Array], Start]:
    """A `reset` that starts at a keyframe, moved a little and at random.

    Positions are moved along the joints' own directions, so quaternions stay of unit length; a
    keyframe's controls and activations are not used: episodes begin with actuators at rest.

    Args:
      source: the task's `mjcf`.
      keyframe: its name or number; None: the model's initial configuration, qpos0, at rest.
      position_noise: largest displacement of each degree of freedom, uniform, in m or rad.
      velocity_noise: the same of velocities, in m/s or rad/s.
      assets: as the task's.
      variables: from a random key, what the episode starts with.

    Raises:
      TaskError: the model cannot be loaded or has no such keyframe.
    """
    model = make_model(source, assets or {}, {}, 'starts_near')
    data = mujoco.MjData(model)
    if keyframe is not None:
        mujoco.mj_resetDataKeyframe(model, data, _number(model, keyframe))
    qpos, qvel = jnp.asarray(data.qpos, jnp.float32), jnp.asarray(data.qvel, jnp.float32)
    joints = [
        (int(model.jnt_type[i]), int(model.jnt_qposadr[i]), int(model.jnt_dofadr[i]))
        for i in range(model.njnt)
    ]

    def reset(key: jax.Array) -> Start:
        keys = jax.random.split(key, 3)
        pushes = position_noise * jax.random.uniform(keys[0], qvel.shape, minval=-1.0)
        speeds = velocity_noise * jax.random.uniform(keys[1], qvel.shape, minval=-1.0)
        moved = qpos
        for joint, place, degree in joints:
            moved = _moved(moved, joint, place, pushes[degree:])
        own = variables(keys[2]) if variables is not None else ()
        return Start(moved, qvel + speeds, own)

    return reset


def _number(model: mujoco.MjModel, keyframe: str | int) -> int:
    names = [model.key(i).name for i in range(model.nkey)]
    if isinstance(keyframe, str) and keyframe in names:
        return names.index(keyframe)
    if not isinstance(keyframe, str) and 0 <= keyframe < model.nkey:
        return keyframe
    known = ', '.join(name or f'number {i}' for i, name in enumerate(names)) or 'none'
    hint = nearest(keyframe, names) if isinstance(keyframe, str) else ''
    raise TaskError(f'starts_near: keyframe = {keyframe!r}: the model has {known}{hint}')


def _moved(qpos: jax.Array, joint: int, place: int, pushes: jax.Array) -> jax.Array:
    """A joint's positions after displacements along its degrees of freedom."""
    free, ball = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
    if joint not in (free, ball):
        return qpos.at[place].add(pushes[0])
    if joint == free:
        qpos = qpos.at[place : place + 3].add(pushes[:3])
        place, pushes = place + 3, pushes[3:]
    turned = _rotated(qpos[place : place + 4], pushes[:3])
    return qpos.at[place : place + 4].set(turned)


def _rotated(quaternion: jax.Array, rotation: jax.Array) -> jax.Array:
    """A unit quaternion (w, x, y, z) turned by a rotation vector in its own frame, in rad."""
    angle = jnp.sqrt(jnp.sum(rotation**2) + 1e-12)
    turn = jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2) / angle * rotation])
    (w, v), (s, u) = (quaternion[0], quaternion[1:]), (turn[0], turn[1:])
    product = jnp.concatenate([(w * s - v @ u)[None], w * u + s * v + jnp.cross(v, u)])
    return product / jnp.linalg.norm(product)
