"""How far a backend is from native MuJoCo after one control step."""

from typing import NamedTuple

import jax
import mujoco
import numpy as np

from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.benchmarks.contenders import physics_of, planner_simulator, start_states
from mpq_jax.dynamics import with_emitters
from mpq_jax.dynamics.mujoco_model import control_law, load_model, physics_steps_per_control
from mpq_jax.tasks import load_task


class Difference(NamedTuple):
    """The largest of any start and coordinate, as a share of the largest value there is."""

    qpos: float
    qvel: float
    program: CompiledFunction


def difference_from_native(task: str, backend: str, count: int) -> Difference:
    """One control step of the true model from `count` starts, with uniform actions."""
    simulator = planner_simulator(task, backend)
    states, key = start_states(simulator, count)
    actions = jax.random.uniform(key[0], (count, simulator.action_size), minval=-1.0)
    model = simulator.true_model()

    def step(model, states, actions):
        after, _ = jax.vmap(simulator.step, in_axes=(None, 0, 0))(model, states, actions)
        return after.qpos, after.qvel

    emitters, name = with_emitters(simulator), f'numerics {backend}'
    program = compile(step, model, states, actions, name=name, fusion_emitters=emitters)
    ours = program(model, states, actions)
    native = _native_step(task, *map(np.asarray, (states.qpos, states.qvel, actions)))
    qpos, qvel = (
        float(np.max(np.abs(np.asarray(a) - b)) / np.max(np.abs(b)))
        for a, b in zip(ours, native, strict=True)
    )
    return Difference(qpos, qvel, program)


def _native_step(name: str, qpos, qvel, actions) -> tuple[np.ndarray, np.ndarray]:
    """qpos `[B, nq]` and qvel `[B, nv]` a control step later, by `mujoco.mj_step` in float64."""
    task = load_task(name)
    model = load_model(task, physics_of(name, 'mujoco'))
    control_of, data = control_law(task, model), mujoco.MjData(model)
    after = []
    for q, v, action in zip(qpos, qvel, actions, strict=True):
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:] = q, v
        data.ctrl[:] = np.asarray(control_of(q, v, action[None]))[0]
        for _ in range(physics_steps_per_control(task, model)):
            mujoco.mj_step(model, data)
            if task.after_physics_step is not None:
                hook = task.after_physics_step
                data.qpos[:], data.qvel[:] = hook(data.qpos, data.qvel, model.opt.timestep)
        after.append((data.qpos.copy(), data.qvel.copy()))
    positions, velocities = zip(*after, strict=True)
    return np.array(positions), np.array(velocities)
