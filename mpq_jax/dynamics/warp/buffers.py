"""How many contacts and constraints a world needs: counted while native MuJoCo steps."""

from collections.abc import Iterator
from typing import NamedTuple

import jax
import mujoco
import numpy as np

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import control_law, edited_model, physics_steps_per_control
from mpq_jax.tasks import Task
from mpq_jax.tasks.physics_warnings import is_unstable

# An estimate is so many times the most that was counted, and some: random controls from starts do
# not reach all that a plan will.
SAFETY, SPARE = 2, 8
_STARTS = 4  # of each model
_HELD = 5  # control steps that an action is held
_PHYSICS_STEPS = 10_000  # of all trajectories together: about a second


class Buffers(NamedTuple):
    """What Warp allots for one world, one trajectory of a batch."""

    # Contacts, and pairs of geoms near enough to be looked at: Warp keeps both in as many places,
    # which the worlds of a batch share.
    contacts: int
    constraints: int  # rows of the solver's Jacobian


def buffers_for(task: Task, model: mujoco.MjModel, physics: PhysicsConfig) -> Buffers:
    """The buffers that a config states; what it leaves at 0 is estimated.

    The estimate is `SAFETY` times the most that any state had, and `SPARE`, over random controls
    from the task's own starts, with the true parameters and with each of them at either end of its
    range.
    """
    stated = Buffers(physics.warp_contacts, physics.warp_constraints)
    if all(stated):
        return stated
    models = list(_ends(task, model))
    steps = max(1, _PHYSICS_STEPS // (_STARTS * len(models)))
    keys = jax.random.split(jax.random.key(0), _STARTS)
    begun = jax.tree.map(np.asarray, jax.jit(jax.vmap(task.reset))(keys))
    random, most = np.random.default_rng(0), np.zeros(2, int)
    for each in models:
        for qpos, qvel in zip(begun.qpos, begun.qvel, strict=True):
            data = mujoco.MjData(each)
            data.qpos[:], data.qvel[:] = qpos, qvel
            most = np.maximum(most, _most_counted(task, each, data, random, steps))
    return Buffers(*(int(s or SAFETY * n + SPARE) for s, n in zip(stated, most, strict=True)))


def _ends(task: Task, model: mujoco.MjModel) -> Iterator[mujoco.MjModel]:
    true = task.true_parameters
    yield edited_model(task, model, true)
    for parameter in task.parameters:
        for value in (parameter.low, parameter.high):
            yield edited_model(task, model, true | {parameter.name: value})


def _most_counted(
    task: Task, model: mujoco.MjModel, data: mujoco.MjData, random: np.random.Generator, steps: int
) -> np.ndarray:
    """Contacts or near pairs, and constraints, `[2]`: the most of `steps` physics steps on."""
    control, near = control_law(task, model), _NearPairs(model)
    a_control_step, most = physics_steps_per_control(task, model), np.zeros(2, int)
    for step in range(steps):
        if step % (_HELD * a_control_step) == 0:
            action = random.uniform(-1.0, 1.0, model.nu)
        if step % a_control_step == 0:
            data.ctrl[:] = control(data.qpos, data.qvel, action)
        mujoco.mj_step(model, data)
        if is_unstable(data):
            break
        most = np.maximum(most, (max(data.ncon, near.count(data)), data.nefc))
        if task.after_physics_step is not None:
            moved = task.after_physics_step(data.qpos, data.qvel, model.opt.timestep)
            data.qpos[:], data.qvel[:] = moved
    return most


class _NearPairs:
    """Pairs of geoms that may collide and whose bounding spheres meet; at least Warp's own count.

    Warp looks at boxes as well, and leaves out parents and children.
    """

    def __init__(self, model: mujoco.MjModel):
        first, second = np.triu_indices(model.ngeom, 1)
        types, affinities = model.geom_contype, model.geom_conaffinity
        meet = (types[first] & affinities[second]) | (types[second] & affinities[first])
        body = model.body_weldid[model.geom_bodyid]
        chosen = (meet != 0) & (body[first] != body[second])
        self._first, self._second = first[chosen], second[chosen]
        boundless = model.geom_rbound <= 0  # planes
        reach = np.where(boundless, np.inf, model.geom_rbound) + model.geom_margin
        self._reach = reach[self._first] + reach[self._second]
        self._explicit = model.npair

    def count(self, data: mujoco.MjData) -> int:
        between = data.geom_xpos[self._first] - data.geom_xpos[self._second]
        return int((np.linalg.norm(between, axis=1) <= self._reach).sum()) + self._explicit
