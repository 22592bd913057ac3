"""What the planner and the learner see of any physics: two pure functions and a model."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.tasks import Reading, Start, Task, Variables

Cost = Callable[[Reading, Variables, jax.Array], Any]  # of a state and an action
Model = Any  # a pytree of the parameters that may differ between copies of the system


class State(NamedTuple):
    """All that the future of a system depends on; small enough for a replay buffer."""

    qpos: jax.Array  # [nq]
    qvel: jax.Array  # [nv]
    act: jax.Array  # [na], actuator activations
    warmstart: jax.Array  # [nv], the constraint solver's last acceleration
    variables: Variables = ()  # the task's own


class Trajectory(NamedTuple):
    """What a backend that takes all steps at once gives back."""

    readings: Reading  # [T + 1], from the start on
    states: State  # [T + 1]


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
    form: str = ''  # how a physics step is computed, where there is a choice
    operations: int = 0  # scalar ones of a physics step, where it is written out in them
    # Whether XLA's CPU fusion emitters make it faster; None: XLA compiles nothing of it.
    fusion_emitters: bool | None = False
    # (model, state, actions [T, nu]) -> trajectory, where a backend has more than `step` to offer.
    trajectory: Callable[[Model, State, jax.Array], Trajectory] | None = None
    # (models with leading axis D, state, actions [P, T, nu], key) -> trajectories [P], where models
    # are random and shared: P is a multiple of D, and particle p is with model p mod D.
    particles: Callable[[Model, State, jax.Array, jax.Array], Trajectory] | None = None
    num_particles: int = 0  # over which a plan's cost is averaged; 0: one model a plan

    @property
    def description(self) -> str:
        """'mjx (straight-line, 90 operations)'."""
        return self.backend + (f' ({self.form})' if self.form else '')

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


def with_emitters(*simulators: Simulator) -> bool:
    """Whether a program that steps these is compiled with XLA's CPU fusion emitters."""
    return {simulator.fusion_emitters for simulator in simulators} - {None} == {True}


def advancing(simulator: Simulator) -> Simulator:
    """The simulator with `task.advance` after each step; as it is for a task without one."""
    advance, step, trajectory = simulator.task.advance, simulator.step, simulator.trajectory
    if advance is None:
        return simulator

    def advanced_step(model, state: State, action):
        following, reading = step(model, state, action)
        variables = advance(reading, state.variables, action)
        return following._replace(variables=variables), reading

    def advanced_trajectory(model, start: State, actions) -> Trajectory:
        assert trajectory is not None
        return variables_along(advance, trajectory(model, start, actions), actions)

    along = None if trajectory is None else advanced_trajectory
    return dataclasses.replace(simulator, step=advanced_step, trajectory=along)


def variables_along(advance: Callable, along: Trajectory, actions: jax.Array) -> Trajectory:
    """A trajectory with variables that evolve from those of its first state on."""
    readings, states = along
    first = jax.tree.map(lambda x: x[0], states.variables)

    def go(variables, item):
        following = advance(item[0], variables, item[1])
        return following, following

    before = jax.tree.map(lambda x: x[:-1], readings), actions
    _, later = jax.lax.scan(go, first, before)
    variables = jax.tree.map(lambda one, rest: jnp.concatenate([one[None], rest]), first, later)
    return Trajectory(readings, states._replace(variables=variables))


class Along(NamedTuple):
    """A trajectory from its start to its last state, where a rollout is asked to keep it.

    Past a termination the entries are filling: those of the state in which it ended, or of what
    the physics would have done.
    """

    states: State  # [T + 1]
    readings: Reading  # [T + 1]
    observations: jax.Array  # [T + 1, no]


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
    along: Along | None = None


def rollout(
    simulator: Simulator,
    model: Model,
    state: State,
    actions: jax.Array,
    keep: bool = False,
    cost: Cost | None = None,
) -> Rollout:
    """Takes actions `[T, nu]` one after the other; T = 0 only reads the state.

    With `keep`, `along` holds every state on the way. `cost` is what a state and the action taken
    from it cost: the task's, if None.
    """
    cost = cost or simulator.task.cost
    roll = _all_at_once if simulator.trajectory is not None else _step_by_step
    result, before = roll(simulator, model, state, actions, keep, cost)
    if not keep:
        return result
    states, readings = jax.tree.map(
        lambda first, last: jnp.concatenate([first, last[None]]),
        before,
        (result.state, result.reading),
    )
    observe = jax.vmap(simulator.task.observe)
    return result._replace(along=Along(states, readings, observe(readings, states.variables)))


def _all_at_once(
    simulator: Simulator, model: Model, start: State, actions, keep: bool, cost: Cost
) -> tuple[Rollout, Any]:
    """By a backend that takes all steps itself; and the states and readings before each step."""
    task = simulator.task
    assert simulator.trajectory is not None
    readings, states = simulator.trajectory(model, start, actions)
    before, (last_state, last) = (
        jax.tree.map(lambda x, at=at: x[at], (states, readings)) for at in (slice(-1), -1)
    )
    if task.terminated is None:
        costs = jax.vmap(cost)(before[1], before[0].variables, actions)
        return Rollout(costs, last_state, last), before

    def look(alive, item):
        return _look(task, cost, alive, *item)

    items = before[1], before[0].variables, actions
    alive, costs = jax.lax.scan(look, jnp.array(True), items)
    return Rollout(costs, last_state, last, alive), before


def _step_by_step(
    simulator: Simulator, model: Model, start: State, actions, keep: bool, cost: Cost
) -> tuple[Rollout, Any]:
    """By a scan over `simulator.step`; and the states and readings before each step, if kept."""
    task = simulator.task
    terminates = task.terminated is not None

    def step(carry, action):
        state, alive = carry
        following, reading = simulator.step(model, state, action)
        if terminates:
            alive, paid = _look(task, cost, alive, reading, state.variables, action)
            following = jax.tree.map(lambda new, old: jnp.where(alive, new, old), following, state)
        else:
            paid = cost(reading, state.variables, action)
        return (following, alive), (paid, (state, reading) if keep else ())

    carry = start, jnp.array(True) if terminates else None
    if actions.shape[0]:
        (state, alive), (costs, before) = jax.lax.scan(step, carry, actions)
    else:
        (state, alive), costs = carry, jnp.zeros(0)
        here = jax.eval_shape(lambda: (start, simulator.read(model, start)))
        before = jax.tree.map(lambda x: jnp.zeros((0, *x.shape), x.dtype), here)
    return Rollout(costs, state, simulator.read(model, state), alive), before


def _look(task: Task, cost: Cost, alive, reading: Reading, variables: Variables, action):
    """Whether s_{t+1} is reached, and the cost of s_t: NaN if it is not finite itself."""
    ends, ending_cost = ending(task, reading, variables)
    paid = jnp.where(ends, ending_cost, cost(reading, variables, action))
    paid = jnp.where(all_finite(reading), paid, jnp.nan)
    return alive & ~ends, jnp.where(alive, paid, 0.0)


def ending(task: Task, reading: Reading, variables: Variables) -> tuple[jax.Array, jax.Array]:
    """Whether a task that can terminate does so here, and what that costs."""
    assert task.terminated is not None and task.terminal_cost is not None  # checked when loaded
    return task.terminated(reading, variables), task.terminal_cost(reading, variables)


def all_finite(tree) -> jax.Array:
    """Whether every number in a pytree is finite."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()
