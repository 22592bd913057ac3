"""A belief for anybody's model: moving bodies up to half as heavy again, and as long again.

Edits an MjModel in place, before `mj_setConst`, as `Task.set_parameters` is to. Bodies that are
fixed to the world stay as they are.
"""

from collections.abc import Mapping

import mujoco
import numpy as np

from mpq_jax.tasks import RandomizedParameter

MASS = RandomizedParameter('mass_scale', 1.0, 1.0, 1.5)
LENGTH = RandomizedParameter('length_scale', 1.0, 1.0, 1.5)
BELIEF = (MASS, LENGTH)


def set_parameters(model: mujoco.MjModel, values: Mapping[str, float]) -> None:
    """Scales by the values that are named as in `BELIEF`; lengths first, masses then."""
    if LENGTH.name in values:
        scale_lengths(model, values[LENGTH.name])
    if MASS.name in values:
        scale_masses(model, values[MASS.name])


def scale_masses(model: mujoco.MjModel, factor: float) -> None:
    """Multiplies masses and inertias of all moving bodies; armatures stay."""
    moving = _moving(model)
    model.body_mass[moving] *= factor
    model.body_inertia[moving] *= factor


def scale_lengths(model: mujoco.MjModel, factor: float) -> None:
    """Makes all moving bodies larger in every direction, their masses kept.

    Places and sizes of geoms and sites, joints' anchors, centres of mass, and where a body sits on
    its parent; inertias by the factor squared. A body that moves against the world's fixed ones
    keeps its place (a pendulum its pivot, a cart its rail), but one that slides up and down and
    turns as well, as a planar runner's torso does: its height above z = 0 is multiplied, so that at
    the initial configuration its feet stay where they were. A free joint has its height in qpos,
    which nothing here changes.

    Tendons at rest at the initial configuration stay at rest there. As they were: the shapes of
    meshes and height fields, ranges and gears of actuators and joints, fixed lengths of tendons,
    cameras, equality constraints.
    """
    moving = _moving(model)
    below = moving & moving[model.body_parentid]
    model.body_pos[below] *= factor
    model.body_pos[_standing(model, moving & ~below), 2] *= factor
    model.body_ipos[moving] *= factor
    model.body_inertia[moving] *= factor**2
    model.jnt_pos[moving[model.jnt_bodyid]] *= factor
    for kind in ('geom', 'site'):
        here = moving[getattr(model, f'{kind}_bodyid')]
        getattr(model, f'{kind}_pos')[here] *= factor
        getattr(model, f'{kind}_size')[here & ~_of_given_shape(model, kind)] *= factor
    shaped = moving[model.geom_bodyid] & ~_of_given_shape(model, 'geom')
    model.geom_rbound[shaped] *= factor
    model.geom_aabb[shaped] *= factor
    model.geom_fluid[shaped, 6:9] *= factor**3  # virtual mass
    model.geom_fluid[shaped, 9:12] *= factor**5  # virtual inertia
    for body in np.flatnonzero(moving & (model.body_bvhnum > 0)):
        first = model.body_bvhadr[body]
        model.bvh_aabb[first : first + model.body_bvhnum[body]] *= factor
    at_rest = (model.tendon_lengthspring == model.tendon_length0[:, None]).all(axis=1)
    if at_rest.any():
        mujoco.mj_setConst(model, mujoco.MjData(model))
        model.tendon_lengthspring[at_rest] = model.tendon_length0[at_rest, None]


def _moving(model: mujoco.MjModel) -> np.ndarray:
    """`[nbody]` bool: those that some joint moves."""
    return model.body_weldid != 0


def _standing(model: mujoco.MjModel, first: np.ndarray) -> np.ndarray:
    """Those of the bodies `first` `[nbody]` that have a vertical slide joint and a hinge."""
    standing = np.zeros_like(first)
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for body in np.flatnonzero(first):
        joints = np.flatnonzero(model.jnt_bodyid == body)
        kinds = model.jnt_type[joints]
        up = (kinds == slide) & (np.abs(model.jnt_axis[joints, 2]) > 0.5)
        standing[body] = up.any() and (kinds == hinge).any()
    return standing


def _of_given_shape(model: mujoco.MjModel, kind: str) -> np.ndarray:
    """Those whose shape is not their size: planes, height fields, meshes."""
    given = mujoco.mjtGeom
    kinds = getattr(model, f'{kind}_type')
    return np.isin(kinds, [given.mjGEOM_PLANE, given.mjGEOM_HFIELD, given.mjGEOM_MESH])
