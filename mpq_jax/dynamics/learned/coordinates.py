"""What a network is shown of a state, and how its answer moves one.

Hinges enter as sine and cosine, slides as they are, ball and free joints as unit quaternions with
the sign that makes the real part positive. A change has one number for each degree of freedom and
velocity, so that a state plus a change is a state.
"""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.dynamics.mujoco_model import read_mjcf
from mpq_jax.dynamics.simulator import State
from mpq_jax.tasks import Task

_KINDS = mujoco.mjtJoint


@dataclasses.dataclass(frozen=True, eq=False)
class Coordinates:
    """Of a task's states; functions of one state."""

    nq: int
    nv: int
    features: Callable[[State], jax.Array]  # -> [nf]
    angles: np.ndarray  # places in qpos of numbers that add up: of hinges and slides
    angles_dof: np.ndarray  # their places in qvel
    quaternions: tuple[tuple[int, int], ...]  # places in qpos, and in qvel, of each

    @property
    def size(self) -> int:
        """Numbers of a change: 2 nv."""
        return 2 * self.nv

    def change(self, state: State, following: State) -> jax.Array:
        """What leads from one to the other `[2 nv]`: of positions, of velocities."""
        moved = jnp.zeros(self.nv)
        difference = following.qpos[self.angles] - state.qpos[self.angles]
        moved = moved.at[self.angles_dof].set(difference)
        for place, dof in self.quaternions:
            here, there = (s.qpos[place : place + 4] for s in (state, following))
            moved = moved.at[dof : dof + 3].set(_rotation_between(here, there))
        return jnp.concatenate([moved, following.qvel - state.qvel])

    def moved(self, state: State, change: jax.Array) -> State:
        """The state after a change `[2 nv]`; activations and variables as they were."""
        moved, faster = change[: self.nv], change[self.nv :]
        qpos = state.qpos.at[self.angles].add(moved[self.angles_dof])
        for place, dof in self.quaternions:
            turned = _rotated(state.qpos[place : place + 4], moved[dof : dof + 3])
            qpos = qpos.at[place : place + 4].set(turned)
        return state._replace(qpos=qpos, qvel=state.qvel + faster)


def coordinates_of(task: Task) -> Coordinates:
    """From the joints of the task's MJCF; those of a task of equations are taken for slides.

    Raises:
      TaskError: the MJCF cannot be loaded, or has activations, which no network predicts.
    """
    if task.mjcf is None:
        start = jax.eval_shape(task.reset, jax.random.key(0))
        nq, nv = start.qpos.size, start.qvel.size
        if nq != nv:
            raise TaskError(
                f'task {task.name!r}: {nq} positions and {nv} velocities without joints'
            )
        joints = [(int(mujoco.mjtJoint.mjJNT_SLIDE), i, i) for i in range(nq)]
    else:
        model = read_mjcf(task)
        if model.na:
            raise TaskError(
                f'task {task.name!r}: {model.na} actuators have activations, which a learned '
                "model does not predict: planner_model 'biased' or 'true'"
            )
        nq, nv = model.nq, model.nv
        rows = zip(model.jnt_type, model.jnt_qposadr, model.jnt_dofadr, strict=True)
        joints = [(int(kind), int(place), int(dof)) for kind, place, dof in rows]
    return Coordinates(nq, nv, _features_of(task, joints), *_places(joints))


def _features_of(task: Task, joints: list[tuple[int, int, int]]) -> Callable[[State], jax.Array]:
    if own := task.dynamics_features:
        return lambda state: own(state.qpos, state.qvel, state.variables)

    def features(state: State) -> jax.Array:
        shown = [_shown(kind, state.qpos, place) for kind, place, _ in joints]
        return jnp.concatenate([*shown, state.qvel])

    return features


def _shown(kind: int, qpos: jax.Array, place: int) -> jax.Array:
    if kind == _KINDS.mjJNT_SLIDE:
        return qpos[place : place + 1]
    if kind == _KINDS.mjJNT_HINGE:
        angle = qpos[place : place + 1]
        return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)])
    start = place + 3 * (kind == _KINDS.mjJNT_FREE)
    quaternion = qpos[start : start + 4]
    upper = jnp.where(quaternion[0] < 0, -quaternion, quaternion)  # q and -q are one rotation
    return jnp.concatenate([qpos[place:start], upper])


def _places(joints: list[tuple[int, int, int]]):
    """Of numbers that add up, in qpos and qvel; of quaternions, in both."""
    plain, quaternions = [], []
    for kind, place, dof in joints:
        if kind in (_KINDS.mjJNT_HINGE, _KINDS.mjJNT_SLIDE):
            plain.append((place, dof))
        elif kind == _KINDS.mjJNT_BALL:
            quaternions.append((place, dof))
        else:
            plain += [(place + i, dof + i) for i in range(3)]
            quaternions.append((place + 3, dof + 3))
    places = np.array(plain, int).reshape(-1, 2)
    return places[:, 0], places[:, 1], tuple(quaternions)


def _rotation_between(first: jax.Array, second: jax.Array) -> jax.Array:
    """The rotation vector `[3]`, in the first one's frame, between unit quaternions."""
    inverse = first * jnp.array([1.0, -1.0, -1.0, -1.0])
    turn = _product(inverse, second)
    turn = jnp.where(turn[0] < 0, -turn, turn)  # the shorter way
    length = jnp.sqrt(jnp.maximum(jnp.sum(turn[1:] ** 2), 1e-16))
    return turn[1:] * (2.0 * jnp.arctan2(length, turn[0]) / length)


def _rotated(quaternion: jax.Array, vector: jax.Array) -> jax.Array:
    """A unit quaternion, turned by a rotation vector `[3]` of its own frame."""
    angle = jnp.sqrt(jnp.maximum(jnp.sum(vector**2), 1e-16))
    turn = jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2) / angle * vector])
    product = _product(quaternion, turn)
    return product / jnp.linalg.norm(product)


def _product(a: jax.Array, b: jax.Array) -> jax.Array:
    """Of quaternions, real part first."""
    real = a[0] * b[0] - jnp.dot(a[1:], b[1:])
    rest = a[0] * b[1:] + b[0] * a[1:] + jnp.cross(a[1:], b[1:])
    return jnp.concatenate([real[None], rest])
