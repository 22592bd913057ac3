"""Physics by native MuJoCo on all cores, behind the same functions as MJX.

For planning without a GPU: whole batches of plans go through one call of the host
(`native_rollouts`). Everything else (noise, costs, scores, Q) stays JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback

from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import mocap_law, sensor_slices
from mpq_jax.dynamics.native_rollouts import NativeRollouts, Physics
from mpq_jax.dynamics.simulator import Simulator, State, Trajectory
from mpq_jax.tasks import Reading, Task


def make_native_simulator(task: Task, physics: PhysicsConfig) -> Simulator:
    """Builds the task's simulator on native MuJoCo; its model is the parameters' values `[P]`.

    Raises:
      TaskError: the MJCF cannot be loaded.
    """
    native = NativeRollouts(task, physics)
    model, sensors = native.model, sensor_slices(native.model)
    poses_of = mocap_law(task, model)
    names = [p.name for p in task.parameters]

    def named(sensordata):
        return {name: sensordata[..., place] for name, place in sensors.items()}

    def trajectory(values, state: State, actions) -> Trajectory:
        count = actions.shape[0] + 1
        shapes = Physics(
            jax.ShapeDtypeStruct((count, model.nq), jnp.float32),
            jax.ShapeDtypeStruct((count, model.nv), jnp.float32),
            jax.ShapeDtypeStruct((count, model.na), jnp.float32),
            jax.ShapeDtypeStruct((count, model.nsensordata), jnp.float32),
        )
        arguments: tuple = values, state.qpos, state.qvel, state.act, actions
        if task.mocap is not None:
            arguments = (*arguments, poses_of(state.variables))
        result = _on_host(native, shapes, arguments)
        readings = Reading(result.qpos, result.qvel, named(result.sensordata))
        held = jax.tree.map(
            lambda x: jnp.broadcast_to(x, (count, *x.shape)), (state.warmstart, state.variables)
        )
        return Trajectory(readings, State(result.qpos, result.qvel, result.act, *held))

    def step(values, state: State, action):
        readings, states = trajectory(values, state, action[None])
        return jax.tree.map(lambda x: x[1], states), jax.tree.map(lambda x: x[0], readings)

    def read(values, state: State) -> Reading:
        if not sensors:
            return Reading(state.qpos, state.qvel, {})
        readings, _ = trajectory(values, state, jnp.zeros((0, model.nu)))
        return jax.tree.map(lambda x: x[0], readings)

    # Mocap bodies move between control steps, and where to, may depend on what was read on the way.
    moving = task.mocap is not None and task.advance is not None
    return Simulator(
        task=task,
        backend='mujoco',
        action_size=model.nu,
        steps_per_control=native.steps_per_control,
        num_activations=model.na,
        trajectory_bytes=16 * (model.nq + model.nv + model.nsensordata + model.nu),
        step=step,
        read=read,
        make_models=lambda values: _stacked(names, values),
        trajectory=None if moving else trajectory,
        fusion_emitters=None,
    )


def _stacked(names: list[str], values) -> jax.Array:
    """Values by name `[D]` -> `[D, P]`; one row of nothing for a task without parameters."""
    if not names:
        return jnp.zeros((1, 0))
    return jnp.stack([jnp.asarray(values[name], jnp.float32) for name in names], axis=-1)


def _on_host(native: NativeRollouts, shapes: Physics, arguments) -> Physics:
    """The callback; on a CPU it writes where the program reads, which spares 0.4 ms a call."""
    if jax.default_backend() != 'cpu':
        return jax.pure_callback(
            lambda *arrays: Physics(*(x.astype(np.float32) for x in native(*arrays))),
            shapes, *arguments, vmap_method='expand_dims',
        )  # fmt: skip

    def fill(_, places, *arrays) -> None:
        for place, values in zip(places, native(*arrays), strict=True):
            np.asarray(place)[...] = values

    return buffer_callback(fill, shapes, vmap_method='expand_dims')(*arguments)
