"""The functions of a task that work on the plant: `control`, `after_physics_step`, `mocap`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError, nearest
from mpq_jax.tasks.task import Task
from mpq_jax.tasks.tracing import called, check_returned, is_array, traced

_LEAD = 3  # rows of a batch; unlike most sizes of a plant


def check_control(task: Task, model: mujoco.MjModel) -> None:
    """`control` with JAX and NumPy arrays, single and with a leading axis."""
    if task.control is None:
        return
    names = 'qpos', 'qvel', 'action'
    wanted = f'finite actuator inputs [nu], here [{model.nu}], with the leading axes of its inputs'
    batch = _spread(model.qpos0, np.zeros(model.nv), np.zeros(model.nu))
    _check_both(task, 'control', names, batch, (), [(model.nu,)], wanted)


def check_physics_hook(task: Task, model: mujoco.MjModel) -> None:
    """`after_physics_step` with JAX and NumPy arrays, single and with a leading axis."""
    if task.after_physics_step is None:
        return
    names = 'qpos', 'qvel', 'timestep'
    wanted = f'(qpos, qvel), finite and of the shapes it was given, [{model.nq}] and [{model.nv}]'
    batch = _spread(model.qpos0, np.zeros(model.nv))
    shapes = [(model.nq,), (model.nv,)]
    timestep = float(model.opt.timestep)
    _check_both(task, 'after_physics_step', names, batch, (timestep,), shapes, wanted)


def check_mocap(task: Task, model: mujoco.MjModel | None, variables: Any) -> None:
    """`mocap` names bodies that are mocap bodies, and gives each a place or a pose."""
    if task.mocap is None or model is None:
        return
    returned = traced(task, 'mocap', ('variables',), variables)
    wanted = 'a dict of bodies by name: places, float arrays [3], or poses with a quaternion, [7]'
    check_returned(task, 'mocap', isinstance(returned, Mapping), returned, wanted)
    bodies = [model.body(i).name for i in np.flatnonzero(model.body_mocapid >= 0)]
    for name, pose in returned.items():
        if name not in bodies:
            raise TaskError(
                f'task {task.name!r}: mocap places {name!r}, which is no body with mocap="true"; '
                f'there are: {", ".join(bodies) or "none"}{nearest(str(name), bodies)}'
            )
        good = any(is_array(pose, jnp.floating, (size,)) for size in (3, 7))
        check_returned(task, 'mocap', good, pose, f'{wanted}; this is {name!r}')


def _spread(*starts: np.ndarray) -> tuple[np.ndarray, ...]:
    """Batches `[B, n]`: first these arrays `[n]` themselves, then places beside them."""
    rows = np.linspace(0.0, 0.5, _LEAD)[:, None]
    return tuple((start + rows).astype(np.float32) for start in starts)


def _check_both(
    task: Task,
    name: str,
    names: tuple[str, ...],
    batch: tuple[np.ndarray, ...],
    rest: tuple,
    shapes: Sequence[tuple[int, ...]],
    wanted: str,
) -> None:
    """A function of arrays `[B, n]` or `[n]`, and `rest`, in all the ways that backends call it."""
    fn: Callable = getattr(task, name)
    single = tuple(x[-1] for x in batch)
    results = []
    for arguments, lead in ((single, ()), (batch, (_LEAD,))):
        abstract = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arguments]
        result = traced(task, name, names, *abstract, constants=rest)
        check_returned(task, name, _fits(result, shapes, lead), result, wanted)
        result = called(task, name, names, fn, *arguments, *rest)
        check_returned(task, name, _fits(result, shapes, lead), result, wanted)
        results.append(_parts(result))
    for alone, some in zip(*results, strict=True):
        if isinstance(some, jax.Array):
            raise TaskError(
                f'task {task.name!r}: {name} returned a JAX array for NumPy arrays: it must use '
                "operators and the arrays' own methods (qvel.clip), which both have"
            )
        if not np.isfinite(some).all():
            raise TaskError(f'task {task.name!r}: {name} returned {alone}: it must return {wanted}')
        if not np.allclose(some[-1], alone, rtol=1e-4, atol=1e-6):
            raise TaskError(
                f'task {task.name!r}: {name} returned other numbers for a batch [{_LEAD}, n] than '
                'for one of its rows alone: index from the right (qpos[..., 0])'
            )


def _parts(result: Any) -> tuple:
    return tuple(result) if isinstance(result, tuple | list) else (result,)


def _fits(result: Any, shapes: Sequence[tuple[int, ...]], lead: tuple[int, ...]) -> bool:
    parts = _parts(result)
    return len(parts) == len(shapes) and all(
        is_array(part, jnp.floating, lead + shape)
        for part, shape in zip(parts, shapes, strict=True)
    )
