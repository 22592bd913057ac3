"""What a task is: a plant, a cost, an observation, and what the planner does not know about it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from mpq_jax.tasks.model_source import Source, View

Variables = Any  # a pytree of the task's own: a goal, for example


class Reading(NamedTuple):
    """All that a task may see of the physics, at one instant."""

    qpos: jax.Array  # [nq]
    qvel: jax.Array  # [nv]
    sensors: Mapping[str, jax.Array]  # name -> [dim], the MJCF's named sensors and `Task.views`


class Start(NamedTuple):
    """The start of an episode."""

    qpos: jax.Array  # [nq]
    qvel: jax.Array  # [nv]
    variables: Variables = ()  # held for the episode, unless the task has `advance`


class RandomizedParameter(NamedTuple):
    """A physical parameter: what it truly is, and the planner's (biased) uniform belief."""

    name: str
    true_value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A control problem, described by plain functions of single, unbatched arrays.

    The functions are traced by JAX and read the physics only through `Reading`, so that
    one task runs on MJX, on native MuJoCo and on somebody else's environment.
    """

    name: str
    episode_steps: int  # control steps; a time limit, not a termination
    control_timestep: float  # seconds
    reset: Callable[[jax.Array], Start]  # from a random key
    observe: Callable[[Reading, Variables], jax.Array]  # -> [observation size]
    cost: Callable[[Reading, Variables, jax.Array], jax.Array]  # of s_t and action [nu] -> scalar
    # Of the entries of an observation, for files that leave here (`mpq distil`); () leaves it open.
    observation_names: tuple[str, ...] = ()
    # The plant: an MJCF or URDF (text, or a path), an MjSpec, an MjModel, a function that makes one
    # (`mpq_jax.menagerie('unitree_go2')`); hand-written equations; or both.
    mjcf: Source | None = None
    assets: Mapping[str, bytes] = dataclasses.field(default_factory=dict)  # that its text names
    # What of bodies, geoms, sites and cameras is read as well, by the name it gets in
    # `reading.sensors`: {'hand': mpq_jax.View('site', 'grip', 'position')}.
    views: Mapping[str, View] = dataclasses.field(default_factory=dict)
    # (parameters by name, qpos, qvel, normalised action) -> (qpos, qvel) a control step later
    equations: Callable[..., tuple[jax.Array, jax.Array]] | None = None
    action_size: int | None = None  # needed only without an MJCF
    # Actuator inputs that depend on where the system is: (qpos, qvel, normalised action) -> ctrl
    # [nu], set at the start of a control step and held for it. None: the action, scaled to each
    # actuator's ctrlrange. Called with JAX or NumPy arrays, with or without leading axes: index
    # from the right and use their methods, not one library's functions.
    control: Callable[[Any, Any, Any], Any] | None = None
    # What MuJoCo cannot express: (qpos, qvel, timestep) -> (qpos, qvel) after a physics step.
    # Called with JAX or NumPy arrays: use their methods (`qvel.clip`), not one library's functions.
    after_physics_step: Callable[[Any, Any, float], tuple] | None = None
    # Variables that evolve: (reading of s_t, variables, action [nu]) -> those of s_{t+1}, of the
    # same shapes: the time, a phase, a moving goal, the action before.
    advance: Callable[[Reading, Variables, jax.Array], Variables] | None = None
    # Of an episode that somebody else's environment started: (reading, position_of) -> variables;
    # `position_of('target')` is where a body, geom or site of the environment is, [3]. None: as
    # `reset` draws them, whatever the environment's start.
    variables_at: Callable[[Reading, Callable[[str], Any]], Variables] | None = None
    # Where mocap bodies are, which nothing pushes: variables of s_t -> {body: [3], or with its
    # quaternion [7]}, held for a control step. Bodies it leaves out stay where the MJCF has them.
    mocap: Callable[[Variables], Mapping[str, jax.Array]] | None = None
    # What a learned model is shown of a state in the place of its joints' positions (hinges as
    # sine and cosine) and velocities: (qpos, qvel, variables) -> [n], bounded where it can be.
    dynamics_features: Callable[[Any, Any, Variables], jax.Array] | None = None
    success: Callable[[Reading, Variables], jax.Array] | None = None  # -> bool
    # Whether an episode ends here, other than by its time limit -> bool; and the cost of having
    # ended in such a state -> scalar. Needed together: costs are to be kept small, so ending
    # early for nothing would be the cheapest way to go (`mpq_jax.cost_to_go`, `alive_bonus`).
    terminated: Callable[[Reading, Variables], jax.Array] | None = None
    terminal_cost: Callable[[Reading, Variables], jax.Array] | None = None
    # The planner's uncertainty, and how values become a model: edits an MjModel in place,
    # before mj_setConst. With equations alone, the values are passed to them as they are.
    parameters: tuple[RandomizedParameter, ...] = ()
    set_parameters: Callable[[Any, Mapping[str, float]], None] | None = None
    # Config fields that suit the task, by dotted name: {'planner.horizon': 10}; and further
    # sets of them by name, applied on top (--preset).
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    # What differs from `settings` for one agent: {'mppi': {'planner.temperature': 0.1}}; and
    # presets of some agents alone, by name and agent, on top of what makes the agent.
    agent_settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    agent_presets: Mapping[str, Mapping[str, Mapping[str, Any]]] = dataclasses.field(
        default_factory=dict
    )
    settings_chosen_on: str = ''  # which seeds and starts; for the manifests of runs
    long_horizon: int = 32  # H of the plain MPPI that MPQ is compared with
    # For figures: label -> what to draw over time, from an episode's transitions `[T]`.
    signals: Mapping[str, Callable[[Any], Any]] = dataclasses.field(default_factory=dict)
    # For videos: where the goal is that `variables` hold, [3]; drawn as a ball.
    goal: Callable[[Variables], jax.Array] | None = None

    @property
    def true_parameters(self) -> dict[str, float]:
        return {p.name: p.true_value for p in self.parameters}
