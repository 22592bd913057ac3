"""What the planner and the learner see of any physics: two pure functions and a model."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.tasks import Reading, Start, Task, Variables

Model = Any  # a pytree of the parameters that may differ between copies of the system


class State(NamedTuple):
    """All that the future of a system depends on; small enough for a replay buffer."""

    qpos: jax.Array  # [nq]
    qvel: jax.Array  # [nv]
    act: jax.Array  # [na], actuator activations
    warmstart: jax.Array  # [nv], the constraint solver's last acceleration
    variables: Variables  # the task's own


class Trajectory(NamedTuple):
    """What a backend that takes all steps at once gives back."""

    readings: Reading  # [T + 1]
    state: State  # after the last step


@dataclasses.dataclass(frozen=True, eq=False)
class Simulator:
    """A copy of a task's physics, as pure functions of single, unbatched arrays."""

    task: Task
    backend: str
    action_size: int  # nu
    steps_per_control: int  # physics steps a control step
    num_activations: int  # na
    trajectory_bytes: int  # XLA temporaries a trajectory in a batch, estimated
    # (model, state, action [nu] in [-1, 1]) -> (state a control step later, reading of `state`).
    # MuJoCo's sensors belong to the state before a physics step: the reading costs nothing here.
    step: Callable[[Model, State, jax.Array], tuple[State, Reading]]
    # (model, state) -> reading, for a state from which no step is taken.
    read: Callable[[Model, State], Reading]
    # Values by parameter name, [D] each -> a model with leading axis D. Host side; build once.
    make_models: Callable[[Mapping[str, np.ndarray]], Model]
    # (model, state, actions [T, nu]) -> trajectory, where a backend has more than `step` to offer.
    trajectory: Callable[[Model, State, jax.Array], Trajectory] | None = None

    def state(self, start: Start) -> State:
        """The physics state at rest in time: no activation, no warm start."""
        return State(
            qpos=jnp.asarray(start.qpos, jnp.float32),
            qvel=jnp.asarray(start.qvel, jnp.float32),
            act=jnp.zeros(self.num_activations),
            warmstart=jnp.zeros(jnp.shape(start.qvel)),
            variables=start.variables,
        )

    def true_model(self) -> Model:
        """The model with the task's true parameters, without a leading axis."""
        values = {name: np.array([value]) for name, value in self.task.true_parameters.items()}
        return jax.tree.map(lambda leaf: leaf[0], self.make_models(values))


class Rollout(NamedTuple):
    """A plan carried out on one model; `[T]` is the number of model steps.

    Where the task terminates at s_t, the first such state, `costs[t]` is its terminal cost, the
    costs after it are 0, and the trajectory stays where it is.
    """

    costs: jax.Array  # [T], of each state and action a step was taken from
    state: State  # after the last step
    reading: Reading  # of that state
    # Whether no state before the last one terminated, bool; None for tasks that never terminate.
    alive: jax.Array | None = None


def rollout(simulator: Simulator, model: Model, state: State, actions: jax.Array) -> Rollout:
    """Takes actions `[T, nu]` one after the other; T = 0 only reads the state."""
    task, variables = simulator.task, state.variables

    def step(state, action):
        following, reading = simulator.step(model, state, action)
        return following, task.cost(reading, variables, action)

    if task.terminated is not None:
        return _terminating_rollout(simulator, model, state, actions)
    if simulator.trajectory is not None:
        before, last, state = _readings(simulator, model, state, actions)
        costs = jax.vmap(task.cost, in_axes=(0, None, 0))(before, variables, actions)
        return Rollout(costs, state, last)
    if actions.shape[0]:
        state, costs = jax.lax.scan(step, state, actions)
    else:
        costs = jnp.zeros(0)
    return Rollout(costs, state, simulator.read(model, state))


def _terminating_rollout(simulator: Simulator, model: Model, start: State, actions) -> Rollout:
    """The same for a task that terminates: every step looks whether it is still alive."""
    task, variables = simulator.task, start.variables

    def look(alive, reading, action):
        """Whether s_{t+1} is reached, and the cost of s_t: NaN if it is not finite itself."""
        ends, ending_cost = ending(task, reading, variables)
        cost = jnp.where(ends, ending_cost, task.cost(reading, variables, action))
        cost = jnp.where(all_finite(reading), cost, jnp.nan)
        return alive & ~ends, jnp.where(alive, cost, 0.0)

    def step(carry, action):
        state, alive = carry
        following, reading = simulator.step(model, state, action)
        alive, cost = look(alive, reading, action)
        state = jax.tree.map(lambda new, old: jnp.where(alive, new, old), following, state)
        return (state, alive), cost

    alive = jnp.array(True)
    if simulator.trajectory is not None:
        before, last, state = _readings(simulator, model, start, actions)
        alive, costs = jax.lax.scan(lambda alive, x: look(alive, *x), alive, (before, actions))
        return Rollout(costs, state, last, alive)
    if not actions.shape[0]:
        return Rollout(jnp.zeros(0), start, simulator.read(model, start), alive)
    (state, alive), costs = jax.lax.scan(step, (start, alive), actions)
    return Rollout(costs, state, simulator.read(model, state), alive)


def ending(task: Task, reading: Reading, variables: Variables) -> tuple[jax.Array, jax.Array]:
    """Whether a task that can terminate does so here, and what that costs."""
    assert task.terminated is not None and task.terminal_cost is not None  # checked when loaded
    return task.terminated(reading, variables), task.terminal_cost(reading, variables)


def _readings(simulator: Simulator, model: Model, state: State, actions):
    """Of a backend that takes all steps at once: readings `[T]`, the last one, the last state."""
    assert simulator.trajectory is not None
    readings, state = simulator.trajectory(model, state, actions)
    before, last = (jax.tree.map(lambda x, at=at: x[at], readings) for at in (slice(-1), -1))
    return before, last, state


def all_finite(tree) -> jax.Array:
    """Whether every number in a pytree is finite."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()
