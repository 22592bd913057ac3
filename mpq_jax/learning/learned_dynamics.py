"""An algorithm whose planner's models are fitted to what it saw: any other, and this beside it.

A round fits the ensemble first, then lets the other algorithm learn (Q, with the new models, or
nothing). The first episodes are random actions.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.config import Config, DynamicsConfig
from mpq_jax.dynamics import Model, Simulator, State, all_finite
from mpq_jax.dynamics.learned import Ensemble, LearnedDynamics, LearnedSimulator, Member
from mpq_jax.learning import dynamics_fitting, replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers, Store
from mpq_jax.learning.dynamics_fitting import Data, Fit
from mpq_jax.learning.model_errors import ModelErrors, model_errors, no_errors
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.planning.agent import RandomAgent


class DynamicsState(NamedTuple):
    """What fits the models, in a member's state."""

    fits: Fit  # [E]
    physics: Model  # [E], a draw for each
    targets: ReplayBuffer  # [E, no], of each transition in the member's buffer: what they foretell
    errors: ModelErrors  # of the models on the last episode, before they saw it
    rounds: jax.Array  # of fitting, that were not undone


def with_learned_dynamics(
    make: Callable[[Config, Simulator], Algorithm], config: Config, simulator: Simulator
) -> Algorithm:
    """The algorithm that `make` gives for the config, on models that are learned.

    Args:
      make: (config, the planner's simulator) -> the algorithm that acts, and may learn Q.
      config: whose `planner_model` is 'learned' or 'residual'.
      simulator: the planner's, of `make_learned_simulator`.

    Raises:
      ConfigError: what `make` refuses.
    """
    assert isinstance(simulator, LearnedSimulator)
    dynamics = simulator.dynamics
    plain = make(config, simulator)
    return plain._replace(
        explore=RandomAgent(simulator, None, plain.collect.planner, config.execution),
        explore_episodes=config.dynamics.random_episodes,
        init=functools.partial(_init, config, dynamics, plain),
        store=functools.partial(_store, config, dynamics, plain.store),
        update=functools.partial(_update, dynamics, plain),
    )


def _init(
    config: Config, dynamics: LearnedDynamics, plain: Algorithm, numbers: Numbers, key,
    physics: Model, transition: Transition,
) -> MemberState:  # fmt: skip
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), transition)
    num_inputs = dynamics.inputs(zeros.state, zeros.action).size
    fits = _fresh_fits(dynamics, num_inputs, keys.stream(key, 'ensemble'))
    first = jnp.arange(config.dynamics.num_elites)
    state = plain.init(numbers, key, _planning(fits.member, physics, first), transition)
    if isinstance(state.buffer, tuple) and not state.buffer:
        buffer = replay_buffer.empty(transition, config.learner.buffer_capacity)
        state = state._replace(buffer=buffer)
    target = jax.ShapeDtypeStruct((config.dynamics.members, dynamics.coordinates.size), jnp.float32)
    targets = replay_buffer.empty(target, config.learner.buffer_capacity)
    return state._replace(dynamics=DynamicsState(fits, physics, targets, no_errors(), jnp.int32(0)))


def _fresh_fits(dynamics: LearnedDynamics, num_inputs: int, key: jax.Array) -> Fit:
    fresh = functools.partial(dynamics_fitting.fresh, dynamics.network, num_inputs)
    return jax.vmap(fresh)(jax.random.split(key, dynamics.config.members))


def _planning(members: Member, physics: Model, elites: jax.Array) -> Ensemble:
    """The networks that plan, each with its physics."""
    return jax.tree.map(lambda x: x[elites], Ensemble(members, physics))


def _store(
    config: Config, dynamics: LearnedDynamics, plain: Store | None, state: MemberState,
    transitions: Transition, valid: jax.Array,
) -> MemberState:  # fmt: skip
    """The episode, and how well the models had foretold it."""
    ahead = max(1, config.planner.horizon - 1)
    errors = model_errors(dynamics, state.models, transitions, valid, ahead)
    errors = jax.tree.map(
        lambda x: jnp.where(state.dynamics.rounds > 0, x, jnp.nan), errors
    )  # of untrained networks there is nothing to say
    targets = _targets(dynamics, state.dynamics.physics, transitions)
    if plain is None:
        state = state._replace(buffer=replay_buffer.add(state.buffer, transitions, valid))
    else:
        state = plain(state, transitions, valid)
    return state._replace(
        dynamics=state.dynamics._replace(
            errors=errors, targets=replay_buffer.add(state.dynamics.targets, targets, valid)
        ),
    )


def _targets(dynamics: LearnedDynamics, physics: Model, transitions: Transition) -> jax.Array:
    """`[T, E, no]`, as the physics of each network have it: each transition is stepped once."""

    def target(physics: Model, state: State, action, following: State):
        found = dynamics.target(physics, state, action, following)
        return jnp.where(all_finite(found), found, 0.0)  # physics that fail foretell nothing

    count = dynamics.config.members
    of_networks = jax.vmap(target, (0, None, None, None), axis_size=count)
    of_steps = jax.vmap(of_networks, (None, 0, 0, 0))
    return of_steps(physics, transitions.state, transitions.action, transitions.next_state)


def _update(
    dynamics: LearnedDynamics, plain: Algorithm, numbers: Numbers, state: MemberState, episode
) -> tuple[MemberState, Metrics]:
    """One learning round: the models, then what the other algorithm learns with them."""
    state, figures = _fit_models(dynamics, numbers.dynamics, state, episode)
    metrics = Metrics()
    if plain.update is not None:
        state, metrics = plain.update(numbers, state, episode)
    return state, metrics._replace(columns={**(metrics.columns or {}), **figures})


def _fit_models(
    dynamics: LearnedDynamics, config: DynamicsConfig, state: MemberState, episode
) -> tuple[MemberState, dict[str, jax.Array]]:
    """Put back, with a loss of NaN, where networks left the finite numbers."""
    before = state.dynamics
    key = keys.stream(state.key, 'dynamics', episode)
    split_key, fresh_key, members_key = jax.random.split(key, 3)
    fits = before.fits
    if not config.warm_start:
        num_inputs = fits.member.scales.input_mean.shape[-1]
        fits = _fresh_fits(dynamics, num_inputs, fresh_key)
    fitted = _fitted(dynamics, config, fits, state, split_key, members_key)
    sound = all_finite((fitted.fit, fitted.loss)) & (state.buffer.size > 0)
    elites = jnp.argsort(fitted.score)[: config.num_elites]
    models = _planning(fitted.fit.member, before.physics, elites)
    kept_fits, kept_models = jax.tree.map(
        lambda new, old: jnp.where(sound, new, old),
        (fitted.fit, models),
        (before.fits, state.models),
    )
    after = before._replace(fits=kept_fits, rounds=before.rounds + sound)
    figures = {
        'model_loss': jnp.where(sound, jnp.mean(fitted.loss), jnp.nan),
        'model_holdout_loss': jnp.mean(fitted.holdout_loss),
        **before.errors._asdict(),
    }
    return state._replace(models=kept_models, dynamics=after), figures


def _fitted(
    dynamics: LearnedDynamics, config: DynamicsConfig, fits: Fit, state: MemberState, split_key,
    members_key,
) -> dynamics_fitting.Fitted:  # fmt: skip
    """All members, mapped here, each on the data as its physics has them."""
    rows = state.buffer.storage
    inputs = jax.vmap(dynamics.inputs)(rows.state, rows.action)

    def of_member(fit: Fit, targets, key):
        data = Data(inputs, targets, state.buffer.size)
        return dynamics_fitting.fit(config, dynamics.network, fit, data, split_key, key)

    member_keys = jax.random.split(members_key, config.members)
    targets = jnp.swapaxes(state.dynamics.targets.storage, 0, 1)
    return jax.vmap(of_member)(fits, targets, member_keys)
