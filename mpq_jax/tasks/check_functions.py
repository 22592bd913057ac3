"""The functions of a task that JAX traces: traced once each, then evaluated at two instants."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.check_plant import check_mocap
from mpq_jax.tasks.plant import control_law, mocap_law, sensor_slices
from mpq_jax.tasks.task import Reading, Start, Task
from mpq_jax.tasks.tracing import called, check_returned, is_array, traced

_FLOAT = 'a finite scalar float array, of shape []'
_BOOL = 'a scalar bool array of shape [], such as a comparison makes it (jnp.array(True), not True)'
_INSTANTS = 'at a start', 'one control step after a start'

_QUICK: dict[str, Any] = {'xla_backend_optimization_level': 0, 'xla_cpu_use_fusion_emitters': False}


class _Function(NamedTuple):
    arguments: tuple[str, ...]
    kind: Any
    wanted: str


_FUNCTIONS = {
    'observe': _Function(
        ('reading', 'variables'), jnp.floating, 'a finite float array [observation size]'
    ),
    'cost': _Function(('reading', 'variables', 'action'), jnp.floating, _FLOAT),
    'success': _Function(('reading', 'variables'), jnp.bool_, _BOOL),
    'terminated': _Function(('reading', 'variables'), jnp.bool_, _BOOL),
    'terminal_cost': _Function(('reading', 'variables'), jnp.floating, _FLOAT),
}


def check_functions(task: Task, model: mujoco.MjModel | None) -> None:
    """`reset`, `equations`, and those above; `model` is None for a task without an MJCF."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    start = _check_reset(task, key, model)
    sensors: dict[str, slice] = {} if model is None else sensor_slices(model)
    sensed: dict[str, Any] = {
        name: jax.ShapeDtypeStruct((place.stop - place.start,), jnp.float32)
        for name, place in sensors.items()
    }
    reading = Reading(start.qpos, start.qvel, sensed)
    action = jax.ShapeDtypeStruct((_action_size(task, model),), jnp.float32)
    names = [name for name in _FUNCTIONS if getattr(task, name) is not None]
    for name in names:
        arguments, kind, wanted = _FUNCTIONS[name]
        returned = traced(
            task, name, arguments, *(reading, start.variables, action)[: len(arguments)]
        )
        shape = None if name == 'observe' else ()
        good = is_array(returned, kind, shape) and (name != 'observe' or returned.ndim == 1)
        check_returned(task, name, good, returned, wanted)
        if name == 'observe':
            _check_names(task, returned.shape[0])
    _check_equations(task, start, action)
    _check_advance(task, reading, start.variables, action)
    check_mocap(task, model, start.variables)
    _evaluate(task, model, names)


def _check_names(task: Task, size: int) -> None:
    names = task.observation_names
    if names and len(names) != size:
        raise TaskError(
            f'task {task.name!r} has {len(names)} observation_names, and observe gives {size} '
            'entries: one name each is wanted, or none at all'
        )


def _check_reset(task: Task, key, model: mujoco.MjModel | None) -> Start:
    """The shapes and types of a start; the same start twice for one key."""
    start = traced(task, 'reset', ('key',), key)
    sizes = ('nq', 'nv') if model is None else (model.nq, model.nv)
    wanted = f'a Start of finite float arrays qpos [{sizes[0]}] and qvel [{sizes[1]}]'
    check_returned(task, 'reset', isinstance(start, Start), start, wanted)
    for name, value, size in zip(('qpos', 'qvel'), start, sizes, strict=False):
        shape = None if model is None else (size,)
        good = is_array(value, jnp.floating, shape) and value.ndim == 1
        check_returned(task, 'reset', good, value, f'{wanted}; this is its {name}')
    twice = [called(task, 'reset', ('key',), lambda k: _program(task, k), key) for _ in range(2)]
    if twice[0] != twice[1]:
        raise TaskError(
            f'task {task.name!r}: reset gives two different starts for one key: all that is '
            'random must come from the key (jax.random), not from numpy.random or a clock'
        )
    return called(task, 'reset', ('key',), lambda key: jax.eval_shape(_fresh(task.reset), key), key)


def _program(task: Task, key) -> tuple[str, list[bytes]]:
    """What `reset` computes, without the addresses of functions in it, and its constants."""
    closed = jax.make_jaxpr(_fresh(task.reset))(key)
    constants = [np.asarray(x).tobytes() for x in closed.consts]
    return re.sub('0x[0-9a-f]+', '', str(closed)), constants


def _fresh(fn):
    """The same function, for JAX another one: it is traced anew."""
    return lambda *args: fn(*args)


def _check_equations(task: Task, start: Start, action) -> None:
    if task.equations is None:
        return
    names = 'parameters', 'qpos', 'qvel', 'action'
    parameters = {p.name: jax.ShapeDtypeStruct((), jnp.float32) for p in task.parameters}
    state = start.qpos, start.qvel
    returned = traced(task, 'equations', names, parameters, *state, action)
    shapes = [x.shape for x in state]
    wanted = f'(qpos, qvel), finite float arrays of the shapes {shapes[0]} and {shapes[1]}'
    good = (
        isinstance(returned, tuple | list)
        and len(returned) == 2
        and all(is_array(x, jnp.floating, s) for x, s in zip(returned, shapes, strict=True))
    )
    check_returned(task, 'equations', good, returned, wanted)


def _check_advance(task: Task, reading: Reading, variables, action) -> None:
    """Variables of the same structure, shapes and types: they are carried through a scan."""
    if task.advance is None:
        return
    returned = traced(
        task, 'advance', ('reading', 'variables', 'action'), reading, variables, action
    )
    given, found = (jax.tree_util.tree_leaves_with_path(x) for x in (variables, returned))
    good = [path for path, _ in given] == [path for path, _ in found]
    good = good and all(
        is_array(x, like.dtype, like.shape) and x.dtype == like.dtype
        for (_, like), (_, x) in zip(given, found, strict=True)
    )
    wanted = ', '.join(
        f'{jax.tree_util.keystr(path) or "variables"} {like.dtype}{list(like.shape)}'
        for path, like in given
    )
    check_returned(task, 'advance', good, returned, f"variables as reset's: {wanted or '()'}")


def _evaluate(task: Task, model: mujoco.MjModel | None, names: list[str]) -> None:
    """Real numbers, of no control: everything must be finite."""
    seed = np.int32(0)
    start = called(
        task,
        'reset',
        ('key',),
        lambda seed: _run(lambda n: task.reset(jax.random.key(n)), seed),
        seed,
    )
    _check_finite(task, 'reset', start, 'at a start')
    sensed = None if model is None else _first_readings(task, model, start)
    parameters = {name: np.float32(value) for name, value in task.true_parameters.items()}
    action = np.zeros(_action_size(task, model), np.float32)

    def everything(start, sensed, parameters, action):
        moved = start.qpos, start.qvel
        if task.equations is not None:
            moved = task.equations(parameters, start.qpos, start.qvel, action)
        if sensed is None:
            both = [jnp.stack(pair) for pair in zip((start.qpos, start.qvel), moved, strict=True)]
            sensed = Reading(both[0], both[1], {})

        def one(reading):
            arguments = reading, start.variables, action
            return {
                name: getattr(task, name)(*arguments[: len(_FUNCTIONS[name].arguments)])
                for name in names
            }

        return moved, jax.vmap(one)(sensed)

    moved, values = jax.device_get(_run(everything, start, sensed, parameters, action))
    _check_finite(task, 'equations', moved, _INSTANTS[1])
    for name, both in values.items():
        for value, instant in zip(both, _INSTANTS, strict=True):
            _check_finite(task, name, value, instant)


def _first_readings(task: Task, model: mujoco.MjModel, start: Start) -> Reading:
    """The plant at a start and a control step later, on native MuJoCo: leading axis 2."""
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET  # shows what leaves the numbers
    data, sensors, readings = mujoco.MjData(model), sensor_slices(model), []
    data.qpos[:], data.qvel[:] = start.qpos, start.qvel
    if task.mocap is not None:
        poses = np.asarray(_run(mocap_law(task, model), start.variables))
        _check_finite(task, 'mocap', poses, _INSTANTS[0])
        data.mocap_pos[:], data.mocap_quat[:] = poses[:, :3], poses[:, 3:]

    def read() -> None:
        mujoco.mj_forward(model, data)
        sensed = {name: data.sensordata[place].copy() for name, place in sensors.items()}
        readings.append(Reading(data.qpos.copy(), data.qvel.copy(), sensed))

    read()
    data.ctrl[:] = control_law(task, model)(data.qpos, data.qvel, np.zeros(model.nu))
    for _ in range(max(1, round(task.control_timestep / model.opt.timestep))):
        mujoco.mj_step(model, data)
        if task.after_physics_step is not None:
            data.qpos[:], data.qvel[:] = task.after_physics_step(
                data.qpos, data.qvel, model.opt.timestep
            )
    read()
    _check_finite(task, 'its MJCF', readings[1], f'{_INSTANTS[1]}, without control')
    return jax.tree.map(lambda *x: np.stack(x).astype(np.float32), *readings)


def _action_size(task: Task, model: mujoco.MjModel | None) -> int:
    if model is not None:
        return model.nu
    assert task.action_size is not None  # checked before
    return task.action_size


def _check_finite(task: Task, name: str, values, instant: str) -> None:
    for value in jax.tree.leaves(values):
        if is_array(value, jnp.floating) and not np.isfinite(value).all():
            raise TaskError(
                f'task {task.name!r}: {name} gives {np.asarray(value)} {instant}: it must be finite'
            )


def _run(fn, *args):
    """`fn(*args)`, compiled for the CPU in the quickest way there is: it runs once."""
    try:
        device = jax.default_device(jax.local_devices(backend='cpu')[0])
    except RuntimeError:  # no CPU backend: where everything else runs
        return jax.jit(_fresh(fn))(*args)
    with device:
        lowered = jax.jit(_fresh(fn)).lower(*args)
        try:
            program = lowered.compile(compiler_options=_QUICK)
        except Exception:  # an XLA that does not take the options; a type of its own in each
            program = lowered.compile()
        return program(*args)
