"""What a planner is measured against: native MuJoCo, peers, and what the device could do."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from mujoco import rollout

from mpq_jax.base.compilation import compile
from mpq_jax.base.machine import usable_cores
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import control_law, load_model, physics_steps_per_control
from mpq_jax.suite.pendulum import equations, wrap
from mpq_jax.tasks import Task


class NativeRollouts:
    """`mujoco.rollout` of a task's true model on all cores: no costs, no noise, no hook.

    A control that depends on the state is that of the start throughout.
    """

    def __init__(self, task: Task, physics: PhysicsConfig, start, actions: np.ndarray):
        """From a start's qpos and qvel, with actions `[B, T, nu]` in [-1, 1]."""
        model = load_model(task, physics)
        threads = usable_cores()
        self._pool = rollout.Rollout(nthread=threads)
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        state = np.zeros((1, mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)))
        position = np.concatenate([np.asarray(start.qpos), np.asarray(start.qvel)])
        state[0, 1 : 1 + len(position)] = position
        control_of = control_law(task, model)
        steps = physics_steps_per_control(task, model)
        control = control_of(np.asarray(start.qpos), np.asarray(start.qvel), actions)
        control = np.repeat(control, steps, axis=1).astype(np.float64)
        self._models = [model] * len(actions)
        self._start = np.repeat(state, len(actions), axis=0)
        self._control = np.ascontiguousarray(control)
        shape = control.shape[:2]
        self._states = np.zeros((*shape, state.shape[1]))
        self._sensors = np.zeros((*shape, model.nsensordata))

    @property
    def steps(self) -> int:
        """Physics steps in a call."""
        count, steps, _ = self._control.shape
        return count * steps

    def __call__(self):
        return self._pool.rollout(
            self._models, self._data, self._start, self._control,
            state=self._states, sensordata=self._sensors,
        )  # fmt: skip


def roofline(count: int, steps: int):
    """The hand-written pendulum, fused: normals, steps and costs, and nothing else.

    Returns:
      A function of (angle, speed, key) -> costs `[count]`: the limit for a planner that draws
      one normal a step.
    """
    parameters = {'mass': jnp.float32(1.0), 'length': jnp.float32(1.0)}

    def run(qpos, qvel, key):
        noise = 2.0 * jax.random.normal(key, (steps, count))

        def step(carry, noise):
            qpos, qvel, total = carry
            total = total + wrap(qpos) ** 2 + 0.1 * qvel**2
            qpos, qvel = equations(parameters, qpos, qvel, jnp.clip(noise, -1.0, 1.0))
            return (qpos, qvel, total), None

        start = jnp.full(count, qpos), jnp.full(count, qvel), jnp.zeros(count)
        return jax.lax.scan(step, start, noise)[0][2]

    return run


def pytorch_mppi(samples: int, horizon: int):
    """`pytorch-mppi` on the hand-written pendulum: a call that makes one plan; None if absent.

    The same dynamics, cost, noise variance and temperature as the pendulum's preset.
    """
    try:
        import torch
        from pytorch_mppi import MPPI
    except ImportError:
        return None
    torch.set_num_threads(usable_cores())

    def angle_of(x):
        return torch.remainder(x + torch.pi, 2 * torch.pi) - torch.pi

    def dynamics(state, action):
        theta, speed = state[:, :1], state[:, 1:]
        torque = 2.0 * torch.clamp(action, -1.0, 1.0)
        speed = torch.clamp(speed + 0.05 * (15.0 * torch.sin(theta) + 3.0 * torque), -8.0, 8.0)
        return torch.cat([theta + 0.05 * speed, speed], dim=1)

    def cost(state, action):
        return angle_of(state[:, 0]) ** 2 + 0.1 * state[:, 1] ** 2

    controller = MPPI(
        dynamics, cost, 2, noise_sigma=torch.tensor([[4.0]]), num_samples=samples,
        horizon=horizon, lambda_=0.15, u_min=torch.tensor([-1.0]), u_max=torch.tensor([1.0]),
    )  # fmt: skip
    state = torch.tensor([3.0, 0.0])
    return lambda: controller.command(state)


def jax_mppi(samples: int, horizon: int):
    """`jax-mppi` on the same hand-written pendulum: a compiled plan as a call; None if absent."""
    try:
        from jax_mppi import mppi
    except ImportError:
        return None
    parameters = {'mass': jnp.float32(1.0), 'length': jnp.float32(1.0)}

    def dynamics(state, action):
        return jnp.concatenate(equations(parameters, state[:1], state[1:], action))

    def cost(state, action):
        return wrap(state[0]) ** 2 + 0.1 * state[1] ** 2

    config, memory = mppi.create(
        2, 1, jnp.array([[4.0]]), num_samples=samples, horizon=horizon, lambda_=0.15,
        u_min=jnp.array([-1.0]), u_max=jnp.array([1.0]),
    )  # fmt: skip
    state = jnp.array([3.0, 0.0])

    def plan(memory, state):
        return mppi.command(config, memory, state, dynamics, cost)

    program = compile(plan, memory, state)
    return lambda: program(memory, state)
