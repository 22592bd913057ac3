"""Physics by MuJoCo MJX: a task's MJCF as pure functions of (model, state, action)."""

import contextlib
import dataclasses
import functools
import io
import warnings
from collections.abc import Callable

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.compilation import CPU_OPTIONS, accepts_cpu_options
from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import (
    control_law,
    edited_model,
    load_model,
    mocap_law,
    physics_steps_per_control,
    sensor_slices,
)
from mpq_jax.dynamics.simulator import Simulator, State
from mpq_jax.dynamics.specialize import specialize
from mpq_jax.dynamics.straight_line import written_out
from mpq_jax.dynamics.warp import WarpPhysics
from mpq_jax.tasks import Reading, Task

with contextlib.redirect_stdout(io.StringIO()):  # its import prints that Warp is absent
    from mujoco import mjx

_LONG_CHAIN = 4


def make_mjx_simulator(task: Task, physics: PhysicsConfig) -> Simulator:
    """Builds the task's simulator.

    Raises:
      TaskError: the MJCF cannot be loaded, or has a feature that MJX does not support.
      ConfigError: impl 'warp' without Warp, or a graph mode that the device does not have.
    """
    mj_model = load_model(task, physics)
    _warn_of_slow_compiling(task, mj_model)
    warp = WarpPhysics(task, mj_model, physics) if physics.impl == 'warp' else None
    nominal = _put(task, warp, mj_model)  # says what MJX does not support
    data = _Data(mj_model, warp)
    randomized = _RandomizedLeaves(task, mj_model, functools.partial(_put, task, warp))
    physics_step, read = _physics_of(task, mj_model, warp, data, randomized, nominal)
    control_step = functools.partial(_control_step, task, mj_model, data)
    simulator = Simulator(
        task=task,
        backend='mjx',
        action_size=mj_model.nu,
        steps_per_control=physics_steps_per_control(task, mj_model),
        num_activations=mj_model.na,
        trajectory_bytes=data.trajectory_bytes,
        step=control_step(physics_step),
        read=read,
        make_models=randomized.stack,
    )
    if warp:  # a call into Warp: there is nothing to take apart
        return dataclasses.replace(simulator, form=warp.description)
    model = simulator.true_model()
    state = jax.eval_shape(lambda: simulator.state(task.reset(jax.random.key(0))))
    control = jax.ShapeDtypeStruct((mj_model.nu,), jnp.float32)
    poses = jax.eval_shape(mocap_law(task, mj_model), state.variables)
    examples = model, state, control, poses
    form = written_out(specialize(physics_step, *examples), physics.straight_line, *examples)
    return dataclasses.replace(
        simulator,
        step=control_step(form.step),
        read=specialize(read, model, state),
        form=form.description,
        operations=form.operations,
        fusion_emitters=form.fusion_emitters,
    )


def _physics_of(
    task: Task, mj_model: mujoco.MjModel, warp: WarpPhysics | None, data: '_Data',
    randomized: '_RandomizedLeaves', nominal: mjx.Model,
) -> tuple[Callable, Callable]:  # fmt: skip
    """One physics step, and the reading of a state from which none is taken."""
    timestep, poses_of = mj_model.opt.timestep, mocap_law(task, mj_model)

    def computed(by, blank, leaves, state: State, control, poses):
        return by(randomized.merge(nominal, leaves), data.of(blank, state, control, poses))

    if warp:  # a step is a forward pass as well, and says what it lost
        stepped = forwarded = warp.in_one_batch(functools.partial(computed, mjx.step))
    else:
        stepped = functools.partial(computed, mjx.step, data.blank)
        forwarded = functools.partial(computed, mjx.forward, data.blank)

    def physics_step(leaves, state: State, control, poses):
        after = stepped(leaves, state._replace(variables=()), control, poses)
        qpos, qvel = after.qpos, after.qvel
        if task.after_physics_step is not None:
            qpos, qvel = task.after_physics_step(qpos, qvel, timestep)
        following = State(qpos, qvel, after.act, after.qacc_warmstart, state.variables)
        return following, after.sensordata

    def read(leaves, state: State) -> Reading:
        if not data.sensors:
            return Reading(state.qpos, state.qvel, {})
        held = jnp.zeros(mj_model.nu), poses_of(state.variables)
        here = forwarded(leaves, state._replace(variables=()), *held)
        return data.reading(state, here.sensordata)

    return physics_step, read


def _control_step(
    task: Task, mj_model: mujoco.MjModel, data: '_Data', physics_step: Callable
) -> Callable:
    """A simulator's `step`: so many physics steps, controls and mocap bodies held."""
    control_of, poses_of = control_law(task, mj_model), mocap_law(task, mj_model)
    num_steps = physics_steps_per_control(task, mj_model)

    def step(leaves, state: State, action):
        held = control_of(state.qpos, state.qvel, action), poses_of(state.variables)
        if num_steps == 1:
            following, sensordata = physics_step(leaves, state, *held)
        else:
            following, all_sensordata = jax.lax.scan(
                lambda state, _: physics_step(leaves, state, *held), state, length=num_steps
            )
            sensordata = all_sensordata[0]
        return following, data.reading(state, sensordata)

    return step


def _warn_of_slow_compiling(task: Task, mj_model: mujoco.MjModel) -> None:
    depth = np.zeros(mj_model.nbody, int)  # moving bodies from the world to each
    for body in range(1, mj_model.nbody):
        depth[body] = depth[mj_model.body_parentid[body]] + (mj_model.body_dofnum[body] > 0)
    slow = jax.default_backend() == 'cpu' and not accepts_cpu_options()
    if depth.max() >= _LONG_CHAIN and slow:
        warnings.warn(
            f'task {task.name!r} has a chain of {depth.max()} moving bodies, and this XLA does not '
            f'take {CPU_OPTIONS}: it may take minutes to compile on a CPU (jaxlib 0.10 takes it)',
            stacklevel=3,
        )


def _put(task: Task, warp: WarpPhysics | None, mj_model: mujoco.MjModel) -> mjx.Model:
    try:
        return warp.put(mj_model) if warp else mjx.put_model(mj_model, impl='jax')
    except NotImplementedError as error:
        others = '--planner_backend=mujoco' + ('' if warp else ' or planner_physics.impl=warp')
        raise TaskError(
            f'task {task.name!r}: MJX cannot simulate its MJCF: {error}; {others} may, and for the '
            'real system the same fields of real_physics'
        ) from error


class _Data:
    """Between the state of a simulator and `mjx.Data`."""

    def __init__(self, mj_model: mujoco.MjModel, warp: WarpPhysics | None):
        self.blank = warp.blank() if warp else mjx.make_data(mj_model, impl='jax')
        self.sensors = sensor_slices(mj_model)
        leaves = jax.tree.leaves(self.blank)
        world = warp.world_bytes if warp else sum(leaf.nbytes for leaf in leaves)
        # An estimate, checked against a compiled program in the tests: MJX's data, twice.
        self.trajectory_bytes = 2 * world

    def of(self, blank: mjx.Data, state: State, control, poses) -> mjx.Data:
        if not isinstance(poses, tuple):  # of mocap bodies that the task drives
            blank = blank.replace(mocap_pos=poses[:, :3], mocap_quat=poses[:, 3:])
        return blank.replace(
            qpos=state.qpos,
            qvel=state.qvel,
            act=state.act,
            qacc_warmstart=state.warmstart,
            ctrl=control,
        )

    def reading(self, state: State, sensordata) -> Reading:
        named = {name: sensordata[place] for name, place in self.sensors.items()}
        return Reading(state.qpos, state.qvel, named)


class _RandomizedLeaves:
    """The leaves of `mjx.Model` that the task's parameters reach, and only those.

    Each set of values goes through an edited MjModel and `mj_setConst`, so constants that
    depend on it (inverse weights, tendon lengths) follow.
    """

    def __init__(self, task: Task, mj_model: mujoco.MjModel, put: Callable):
        self._task, self._mj_model, self._put = task, mj_model, put
        self._names = [p.name for p in task.parameters]
        nominal = task.true_parameters
        ends = [nominal | {p.name: value} for p in task.parameters for value in (p.low, p.high)]
        probes = [(values, self._leaves(values)) for values in (nominal, *ends)]
        reference = probes[0][1]
        self._places = [
            i
            for i, leaf in enumerate(reference)
            if any(not np.array_equal(leaf, leaves[i]) for _, leaves in probes)
        ]
        self._fields = self._mirrored_fields(probes)

    def stack(self, values) -> tuple[jax.Array, ...]:
        """Values `[D]` by name -> the leaves that differ, each with leading axis D."""
        count = len(next(iter(values.values()))) if values else 1
        draws = [{name: float(values[name][i]) for name in self._names} for i in range(count)]
        models = [self._differing(draw) for draw in draws]
        return tuple(jnp.asarray(np.stack(leaves)) for leaves in zip(*models, strict=True))

    def merge(self, nominal: mjx.Model, leaves: tuple[jax.Array, ...]) -> mjx.Model:
        everything, structure = jax.tree.flatten(nominal)
        for place, leaf in zip(self._places, leaves, strict=True):
            everything[place] = leaf
        return jax.tree.unflatten(structure, everything)

    def _leaves(self, values: dict[str, float]) -> list[jax.Array]:
        edited = edited_model(self._task, self._mj_model, values)
        return jax.tree.leaves(self._put(edited))

    def _differing(self, values: dict[str, float]) -> list[np.ndarray]:
        if self._fields is None:
            leaves = self._leaves(values)
            return [np.asarray(leaves[place]) for place in self._places]
        edited = edited_model(self._task, self._mj_model, values)
        return [np.asarray(getattr(edited, name), dtype) for name, dtype in self._fields]

    def _mirrored_fields(self, probes) -> list[tuple[str, np.dtype]] | None:
        """Names and types of the leaves that are plain copies of MjModel's, if all are.

        Reading them there takes microseconds a model, `mjx.put_model` about 28 ms.
        """
        paths, _ = jax.tree_util.tree_flatten_with_path(self._put(self._mj_model))
        names = [jax.tree_util.keystr(paths[place][0], simple=True) for place in self._places]
        for values, leaves in probes:
            edited = edited_model(self._task, self._mj_model, values)
            for name, place in zip(names, self._places, strict=True):
                mirrored = np.asarray(getattr(edited, name, None), leaves[place].dtype)
                if not np.array_equal(mirrored, leaves[place]):
                    return None
        return [
            (name, probes[0][1][place].dtype)
            for name, place in zip(names, self._places, strict=True)
        ]
