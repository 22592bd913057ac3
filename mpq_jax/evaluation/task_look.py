"""A look at a task before the first run: sizes, costs of random control, parameters, scales."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.config import Config, PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import Model, Rollout, Simulator, make_simulator, rollout
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.tasks import Task
from mpq_jax.training.assembly import count_work

_STARTS = 8
_PLANS = 64  # random ones from each start, for the spread of their costs
_PARAMETER_STEPS = 50  # control steps after which parameters are told apart


class Episodes(NamedTuple):
    """Episodes under one kind of control; NaN where a simulation left the finite numbers."""

    returns: np.ndarray  # [S], minus the summed costs
    costs: np.ndarray  # [S, T]
    successes: np.ndarray | None  # [S], at any step
    lengths: np.ndarray  # [S], control steps before a termination


class Effect(NamedTuple):
    """What a parameter does at the ends of its range, from one start under the same actions."""

    name: str
    low: float
    high: float
    moved: float  # largest change of a position or velocity between the ends
    steps: int  # control steps after which that is


class Look(NamedTuple):
    """What is worth knowing of a task."""

    simulator: Simulator
    observation_size: int
    idle: Episodes  # no control
    random: Episodes  # uniform actions
    effects: list[Effect]
    # Standard deviation of what random plans cost from one start, median over starts, at the
    # planner's horizon, noise and discount: 0 where they all cost the same.
    plan_cost_spread: float


def look(task: Task, planner: PlannerConfig) -> Look:
    """Plays a few episodes of a task on its true model, without planning.

    On native MuJoCo, which compiles in seconds; by its equations where it has nothing else.

    Args:
      task: what is looked at.
      planner: where it would start from: horizon, noise and discount of the random plans.

    Raises:
      TaskError: the task cannot be simulated.
    """
    backend = 'equations' if task.mjcf is None else 'mujoco'
    simulator = make_simulator(task, PhysicsConfig(backend))
    model, keys = simulator.true_model(), jax.random.split(jax.random.key(0), _STARTS)
    shape = _STARTS, task.episode_steps, simulator.action_size
    actions = jax.random.uniform(jax.random.key(1), shape, minval=-1.0)
    play = jax.jit(jax.vmap(_play, in_axes=(None, None, 0, 0)), static_argnums=0)
    idle, moved = (play(simulator, model, keys, each) for each in (jnp.zeros(shape), actions))
    return Look(
        simulator,
        idle.along.observations.shape[-1],
        _episodes(task, idle),
        _episodes(task, moved),
        _effects(simulator, keys[0], actions[0, :_PARAMETER_STEPS]),
        _spread(simulator, planner, model, keys),
    )


def _play(simulator: Simulator, model: Model, key: jax.Array, actions: jax.Array) -> Rollout:
    start = simulator.state(simulator.task.reset(key))
    return rollout(simulator, model, start, actions, keep=True)


def _episodes(task: Task, played: Rollout) -> Episodes:
    """Of rollouts `[S, ...]`."""
    assert played.along is not None
    readings, states = played.along.readings, played.along.states
    lengths = np.full(played.costs.shape[0], task.episode_steps)
    if task.terminated is not None:
        ends = np.asarray(jax.vmap(jax.vmap(task.terminated))(readings, states.variables))
        lengths = np.where(ends.any(axis=1), ends.argmax(axis=1), lengths)
    successes: np.ndarray | None = None
    if task.success is not None:
        reached = np.asarray(jax.vmap(jax.vmap(task.success))(readings, states.variables))
        before = np.arange(reached.shape[1]) <= lengths[:, None]
        successes = np.asarray((reached & before).any(axis=1))
    costs = np.asarray(played.costs)
    return Episodes(-costs.sum(axis=1), costs, successes, lengths)


def _effects(simulator: Simulator, key: jax.Array, actions: jax.Array) -> list[Effect]:
    """One parameter at a time, the others as they truly are."""
    task, true = simulator.task, simulator.task.true_parameters
    if not task.parameters:
        return []
    ends = [true | {p.name: end} for p in task.parameters for end in (p.low, p.high)]
    models = simulator.make_models({n: np.array([e[n] for e in ends]) for n in true})
    play = jax.jit(jax.vmap(_play, in_axes=(None, 0, None, None)), static_argnums=0)
    last = play(simulator, models, key, actions).state
    places = np.concatenate([last.qpos, last.qvel], axis=1)
    moved = np.abs(places[0::2] - places[1::2]).max(axis=1)
    return [
        Effect(p.name, p.low, p.high, float(change), actions.shape[0])
        for p, change in zip(task.parameters, moved, strict=True)
    ]


def _spread(simulator: Simulator, planner: PlannerConfig, model: Model, keys: jax.Array) -> float:
    """As MPPI first sees it: noise around no control, clipped."""
    shape = _STARTS, _PLANS, planner.horizon, simulator.action_size
    noise = np.sqrt(planner.noise_variance) * jax.random.normal(jax.random.key(2), shape)
    actions = jnp.clip(noise, -1.0, 1.0)

    def cost_of(key, actions):
        start = simulator.state(simulator.task.reset(key))
        steps = rollout(simulator, model, start, actions[:-1])
        last = simulator.task.cost(steps.reading, steps.state.variables, actions[-1])
        discounts = planner.discount ** jnp.arange(planner.horizon)
        return jnp.sum(discounts[:-1] * steps.costs) + discounts[-1] * last

    costs = np.asarray(jax.jit(jax.vmap(jax.vmap(cost_of, (None, 0))))(keys, actions))
    finite = [row[np.isfinite(row)] for row in costs if np.isfinite(row).any()]
    spreads = [row.std() if row.std() > 1e-5 * np.abs(row).mean() else 0.0 for row in finite]
    return float(np.median(spreads)) if spreads else 0.0


def proposed_temperature(found: Look) -> float:
    """A tenth of the spread of plans' costs, to two digits; 0.1 where there is none."""
    spread = found.plan_cost_spread
    return float(f'{0.1 * spread:.2g}') if spread > 0 else 0.1


def learning_share(config: Config) -> tuple[float, int]:
    """What share of MPQ's model steps are learning's, and the `num_states` that would make it half.

    Of a loop of one episode and one round; whole minibatches, one at least.

    Raises:
      ConfigError, TaskError: a config or a task that cannot be used.
    """
    work = count_work(config)
    acting, learning = work.episode_steps * work.per_action, work.per_round
    settings = config.learner
    fitting = settings.num_states * acting / max(learning, 1)
    whole = max(1, int(fitting // settings.minibatch_size)) * settings.minibatch_size
    return learning / max(acting + learning, 1), whole


def actuator_facts(task: Task) -> list[tuple[str, str, str]]:
    """(name, kind with its unit, range of what it is given) of each actuator of an MJCF."""
    if task.mjcf is None:
        return []
    model = load_model(task, PhysicsConfig())
    found = []
    for i in range(model.nu):
        name = model.actuator(i).name or f'number {i}'
        low, high = model.actuator_ctrlrange[i]
        limits = f'{low:g} to {high:g}' if task.control is None else "the task's control"
        found.append((name, _kind(model, i), limits))
    return found


def _kind(model, i: int) -> str:
    """'motor on hinge elbow [N m]' or 'servo on slide x [m]'; what else there is by its gains."""
    joints = {2: ('slide', 'm', 'N'), 3: ('hinge', 'rad', 'N m')}
    if model.actuator_trntype[i] not in (0, 1):
        return 'of no joint'
    joint = model.actuator_trnid[i, 0]
    kind, unit, force = joints.get(int(model.jnt_type[joint]), ('joint', '?', '?'))
    gain, bias = model.actuator_gainprm[i], model.actuator_biasprm[i]
    servo = bias[1] != 0 and gain[0] == -bias[1]
    velocity = not servo and bias[2] != 0 and gain[0] == -bias[2]
    unit = unit if servo else f'{unit}/s' if velocity else force
    what = 'servo' if servo else 'velocity servo' if velocity else 'motor'
    return f'{what} on {kind} {model.joint(joint).name or joint} [{unit}]'
