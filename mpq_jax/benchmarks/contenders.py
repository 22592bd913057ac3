"""What the planner's benchmark lets take turns: plans, bare rollouts, references; as calls."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import mpq_jax
from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.compilation import compile
from mpq_jax.benchmarks import references
from mpq_jax.config import Config, NoiseConfig, PhysicsConfig
from mpq_jax.dynamics import make_simulator, with_emitters
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.dynamics.randomization import planner_models
from mpq_jax.learning.q_function import make_network
from mpq_jax.planning import scoring
from mpq_jax.planning.agent import Agent, QParams, make_agent
from mpq_jax.tasks import load_task
from mpq_jax.training import memory

BARE, NATIVE = 'bare rollouts', 'native mujoco.rollout'
# What a contender's name says of the planner's physics. 'mjx_arrays' is MJX as it is, where 'mjx'
# writes out what pays number by number, 'mjx_straight' whatever there is.
PHYSICS: dict[str, dict[str, Any]] = {
    'mjx': {'backend': 'mjx'},
    'mjx_arrays': {'backend': 'mjx', 'straight_line': 'off'},
    'mjx_straight': {'backend': 'mjx', 'straight_line': 'on'},
    'mujoco': {'backend': 'mujoco'},
    'equations': {'backend': 'equations'},
    'warp': {'backend': 'mjx', 'impl': 'warp'},
}


@dataclasses.dataclass(frozen=True)
class Cell:
    """One size of plan; all its contenders take turns."""

    task: str
    num_samples: int
    horizon: int
    num_states: int

    def __str__(self) -> str:
        task = self.task.rpartition(':')[2]
        return f'{task} N={self.num_samples} H={self.horizon} states={self.num_states}'

    def model_steps(self, steps_per_control: int) -> int:
        return self.num_states * self.num_samples * (self.horizon - 1) * steps_per_control


@functools.lru_cache(maxsize=32)
def planner_simulator(task: str, backend: str):
    """The planner's physics as the task's preset steps it, on a backend."""
    return make_simulator(load_task(task), physics_of(task, backend))


def physics_of(task: str, backend: str) -> PhysicsConfig:
    """The task's preset on one of `PHYSICS`."""
    return dataclasses.replace(mpq_jax.preset(task).planner_physics, **PHYSICS[backend])


def plan_call(cell: Cell, agent_name: str, backend: str, fields: Mapping[str, Any] | None = None):
    """A compiled batch of plans as a call without arguments; `fields` are set last."""
    simulator = planner_simulator(cell.task, backend)
    config = mpq_jax.set_fields(config_of(cell, agent_name, simulator), fields or {})
    spread = memory.spread_of(config, simulator, cell.num_states)
    config = memory.with_chunks(config, simulator, 1, spread)
    agent = make_agent(config, simulator, make_network(config))
    models = planner_models(config, simulator, jax.random.key(0))
    q_params = random_q(agent)
    states, keys = start_states(simulator, cell.num_states)
    first_plan = agent.first_plan(config.planner)
    planner = jax.tree.map(jnp.float32, config.planner)
    at_once = memory.plans_at_once(config, simulator, cell.num_states, 1)

    def plan(planner, q_params, models, states, keys):
        def one(item):
            state, key = item
            return agent.act(planner, q_params, models, state, first_plan, key)

        return map_in_chunks(one, (states, keys), at_once)

    arguments = spread.placed((planner, q_params, models, states, keys))
    program = compile(
        plan, *arguments, name=f'{agent_name} {backend}', out_shardings=spread.everywhere,
        fusion_emitters=with_emitters(simulator),
    )  # fmt: skip
    return lambda: program(*arguments), program


def bare_call(cell: Cell, backend: str):
    """Rollouts alone: the same steps on the same model draws, from actions drawn beforehand."""
    simulator = planner_simulator(cell.task, backend)
    config = config_of(cell, 'mppi', simulator)
    models = planner_models(config, simulator, jax.random.key(0))
    states, _ = start_states(simulator, cell.num_states)
    at_once = memory.plans_at_once(config, simulator, cell.num_states, 1)
    particles = scoring.particle_models(config.planner, models)
    shape = (cell.num_states, cell.num_samples, cell.horizon - 1, simulator.action_size)
    actions = jnp.clip(2.0 * jax.random.normal(jax.random.key(1), shape), -1.0, 1.0)

    def bare(particles, states, actions):
        def plan(item):
            state, actions = item

            def one(particle):
                return mpq_jax.rollout(simulator, particle[0], state, particle[1]).state.qpos

            return map_in_chunks(one, (particles, actions), config.execution.sample_chunk)

        return map_in_chunks(plan, (states, actions), at_once)

    emitters = with_emitters(simulator)
    program = compile(bare, particles, states, actions, name=BARE, fusion_emitters=emitters)
    return lambda: program(particles, states, actions), program


def random_q(agent: Agent) -> QParams:
    """Fresh parameters of the agent's network; () where it has none."""
    if agent.network is None:
        return ()
    start = agent.simulator.task.reset(jax.random.key(0))
    state = agent.simulator.state(start)
    reading = compile(agent.simulator.read, agent.simulator.true_model(), state)(
        agent.simulator.true_model(), state
    )
    observation = agent.simulator.task.observe(reading, state.variables)
    return agent.network.init(
        jax.random.key(2), observation, jnp.zeros(agent.simulator.action_size)
    )


def start_states(simulator, count: int):
    """`count` states in which episodes start, and a key for each."""
    keys = jax.random.split(jax.random.key(3), count)
    return jax.vmap(lambda key: simulator.state(simulator.task.reset(key)))(keys), keys


def reference_calls(
    cell: Cell, task, wanted: list[str], compiled: dict, passes: int = 1
) -> dict[str, Any]:
    """What takes turns with a cell's plans, by name; programs go into `compiled`.

    With `passes`, so many times the trajectories: a plan improved more than once.
    """
    calls: dict[str, Any] = {}
    batch = cell.num_states * cell.num_samples * passes
    if 'mujoco' in wanted and task.mjcf is not None:
        physics = mpq_jax.preset(cell.task).planner_physics
        width = load_model(task, physics).nu
        actions = np.random.default_rng(0).uniform(-1, 1, (batch, cell.horizon - 1, width))
        start = task.reset(jax.random.key(3))
        calls[NATIVE] = references.NativeRollouts(task, physics, start, actions)
    if task.name != 'pendulum':
        return calls
    if 'roofline' in wanted:
        fn = references.roofline(batch, cell.horizon - 1)
        arguments = jnp.float32(3.0), jnp.float32(0.0), jax.random.key(0)
        program = compile(fn, *arguments, name='roofline')
        compiled['roofline'] = program
        calls['roofline'] = lambda: program(*arguments)
    if 'peers' in wanted and cell.num_states == 1:
        peers = {'pytorch-mppi': references.pytorch_mppi, 'jax-mppi': references.jax_mppi}
        made = {name: make(cell.num_samples, cell.horizon) for name, make in peers.items()}
        calls |= {name: call for name, call in made.items() if call is not None}
    return calls


def config_of(cell: Cell, agent: str, simulator, one_iteration: bool = True) -> Config:
    """The preset at a cell's sizes, for one seed, with its chunks chosen.

    With `one_iteration`, so that a plan and its bare rollouts take the same steps. Its noise is
    white whatever the preset's, as that of the references is.
    """
    fields = {
        'planner.horizon': cell.horizon,
        'planner.num_samples': cell.num_samples,
        'learner.num_states': cell.num_states,
        'num_seeds': 1,
    }
    if one_iteration:
        fields['planner.iterations'] = 1
    config = mpq_jax.set_fields(mpq_jax.preset(cell.task, agent), fields)
    if isinstance(config.planner, NoiseConfig):
        config = mpq_jax.set_fields(config, {'planner.noise': 'white'})
    draws = min(config.belief.num_draws, cell.num_samples)
    config = mpq_jax.set_fields(config, {'belief.num_draws': draws})
    # Plans made at once are to the devices what members are.
    spread = memory.spread_of(config, simulator, cell.num_states)
    return memory.with_chunks(config, simulator, 1, spread)
