"""Physics by hand: a task's own step function in the place of MJX."""

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import TaskError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.simulator import Simulator, State
from mpq_jax.tasks import Reading, Task
from mpq_jax.tasks.plant import read_mjcf


def make_equations_simulator(task: Task, physics: PhysicsConfig) -> Simulator:
    """Builds a simulator from `task.equations`; its model is the parameters by name.

    Raises:
      TaskError: the task has no equations.
    """
    equations = task.equations
    if equations is None:
        raise TaskError(f"task {task.name!r} has no equations: use backend 'mjx'")
    action_size = read_mjcf(task).nu if task.action_size is None else task.action_size

    def read(model, state: State) -> Reading:
        return Reading(state.qpos, state.qvel, {})

    def step(model, state: State, action):
        qpos, qvel = equations(model, state.qpos, state.qvel, action)
        return state._replace(qpos=qpos, qvel=qvel), read(model, state)

    start = jax.eval_shape(task.reset, jax.random.key(0))
    return Simulator(
        task=task,
        backend='equations',
        action_size=action_size,
        steps_per_control=1,
        num_activations=0,
        trajectory_bytes=8 * 4 * (start.qpos.size + start.qvel.size + action_size),
        step=step,
        read=read,
        make_models=lambda values: {
            name: jnp.asarray(value, jnp.float32) for name, value in values.items()
        },
    )
