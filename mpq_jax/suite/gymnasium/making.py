"""A task for an environment's id."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mpq_jax.base.validation import TaskError, nearest
from mpq_jax.suite import scaled_bodies
from mpq_jax.suite.gymnasium import arms, pendula, published, runners
from mpq_jax.suite.gymnasium.installed import Installed, find
from mpq_jax.suite.gymnasium.settings import CHOSEN_ON, LONG_HORIZON, agent_settings, settings
from mpq_jax.tasks import RandomizedParameter, Task


class _Entry(NamedTuple):
    """How a task is made, and the arguments of the environment that it is a task for."""

    parts: Callable[[Installed, float], dict[str, Any]]
    arguments: Mapping[str, Any] = {}
    belief: tuple[RandomizedParameter, ...] = scaled_bodies.BELIEF


_NO_CONTACT_FORCES = {'include_cfrc_ext_in_observation': False, 'contact_cost_weight': 0.0}
_POSITIONS_AND_VELOCITIES = {
    'include_cinert_in_observation': False,
    'include_cvel_in_observation': False,
    'include_qfrc_actuator_in_observation': False,
    'include_cfrc_ext_in_observation': False,
}
# Those on a free joint have their height in qpos: legs believed longer would stand in the ground.
_MASS = (scaled_bodies.MASS,)

_ENTRIES = {
    'InvertedPendulum-v5': _Entry(pendula.inverted_pendulum),
    'InvertedDoublePendulum-v5': _Entry(pendula.inverted_double_pendulum),
    'Reacher-v5': _Entry(arms.reacher),
    'Pusher-v5': _Entry(arms.pusher),
    'HalfCheetah-v5': _Entry(runners.half_cheetah),
    'Hopper-v5': _Entry(runners.hopper),
    'Walker2d-v5': _Entry(runners.walker),
    'Swimmer-v5': _Entry(runners.swimmer),
    'Ant-v5': _Entry(runners.ant, _NO_CONTACT_FORCES, _MASS),
    'Humanoid-v5': _Entry(
        runners.humanoid, _POSITIONS_AND_VELOCITIES | {'contact_cost_weight': 0.0}, _MASS
    ),
    'HumanoidStandup-v5': _Entry(
        runners.humanoid_standup, _POSITIONS_AND_VELOCITIES | {'impact_cost_weight': 0.0}, _MASS
    ),
}
IDS = tuple(_ENTRIES)
# What `gymnasium.make(id, **ARGUMENTS[id])` is to be given, so that it is the task's environment.
ARGUMENTS = {environment_id: dict(entry.arguments) for environment_id, entry in _ENTRIES.items()}


def names() -> tuple[str, ...]:
    """The ids that are tasks. Raises TaskError where Gymnasium is not installed."""
    find(IDS[0], {})
    return IDS


def make_task(environment_id: str) -> Task:
    """The task of an environment, 'HalfCheetah-v5': its plant, starts, observation, minus reward.

    Args:
      environment_id: one of `IDS`.

    Raises:
      TaskError: another id; Gymnasium is not installed, or too old to have it.
    """
    if environment_id not in _ENTRIES:
        raise TaskError(
            f'gymnasium:{environment_id} is not known: it must be one of {", ".join(IDS)}'
            f'{nearest(environment_id, IDS)}'
        )
    entry = _ENTRIES[environment_id]
    environment, suits = find(environment_id, entry.arguments), settings(environment_id)
    return Task(
        name=f'gymnasium:{environment_id}',
        episode_steps=environment.episode_steps,
        control_timestep=environment.timestep,
        parameters=entry.belief,
        set_parameters=scaled_bodies.set_parameters,
        settings=suits,
        settings_chosen_on=CHOSEN_ON.get(environment_id, ''),
        agent_settings=agent_settings(environment_id),
        agent_presets=published.presets(environment_id),
        long_horizon=LONG_HORIZON,
        **entry.parts(environment, suits['planner.discount']),
    )
