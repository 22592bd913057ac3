"""A simulator whose steps are those of an ensemble: alone, or correcting the physics it stands on.

Its model is an `Ensemble` with a leading axis D, as draws of physics have: each network with a draw
of the planner's physics, whose kinematics give poses and sensors, and whose step the network
corrects in residual mode. Plans are rolled out on particles (`Simulator.particles`).
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import TaskError
from mpq_jax.config import DynamicsConfig
from mpq_jax.dynamics.learned.coordinates import Coordinates, coordinates_of
from mpq_jax.dynamics.learned.network import DynamicsNetwork, Member, predict
from mpq_jax.dynamics.simulator import Model, Simulator, State, Trajectory, variables_along


class Ensemble(NamedTuple):
    """The networks that plan, each with its physics; leading axis D."""

    member: Member
    physics: Model


@dataclasses.dataclass(frozen=True, eq=False)
class LearnedDynamics:
    """What a network predicts of a task, and how its prediction becomes a state."""

    config: DynamicsConfig
    coordinates: Coordinates
    network: DynamicsNetwork
    physics: Simulator  # of the planner, as it would be without learning
    corrects: bool  # whether networks predict the error of the physics, not the whole change

    @classmethod
    def of(cls, config: DynamicsConfig, physics: Simulator, corrects: bool) -> 'LearnedDynamics':
        """Raises TaskError where a task's states cannot be learned."""
        task = physics.task
        if corrects and task.mocap is not None and task.advance is not None:
            raise TaskError(
                f'task {task.name!r}: its mocap bodies move by `advance`, which planner_model '
                "'residual' cannot follow: 'learned', 'biased' or 'true'"
            )
        coordinates = coordinates_of(task)
        network = DynamicsNetwork(config, coordinates.size)
        return cls(config, coordinates, network, physics, corrects)

    def inputs(self, state: State, action: jax.Array) -> jax.Array:
        """What a network is shown `[ni]`."""
        return jnp.concatenate([self.coordinates.features(state), action])

    def before_correction(self, physics: Model, state: State, action: jax.Array) -> State:
        """What the networks' change is added to: the state, or what the physics make of it."""
        if not self.corrects:
            return state
        following, _ = self.physics.step(physics, state, action)
        return following._replace(variables=state.variables)

    def target(
        self, physics: Model, state: State, action: jax.Array, following: State
    ) -> jax.Array:
        """The change `[no]` that a network should have predicted."""
        return self.coordinates.change(self.before_correction(physics, state, action), following)

    def predicted(self, model: Ensemble, state: State, action: jax.Array):
        """Mean and standard deviation `[no]` by one network (no leading axis)."""
        return predict(self.network, model.member, self.inputs(state, action))


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class LearnedSimulator(Simulator):
    """Its models are `Ensemble`s; `make_models` gives the physics in them."""

    dynamics: LearnedDynamics

    @property
    def description(self) -> str:
        """'ensemble (5 networks of 3 x 200)'; `backend` is that of the physics they stand on."""
        config = self.dynamics.config
        sizes = f'{config.members} networks of {config.hidden_layers} x {config.hidden_width}'
        corrected = f', correcting {super().description}' if self.dynamics.corrects else ''
        return f'ensemble ({sizes}{corrected})'


def make_learned_simulator(
    physics: Simulator, config: DynamicsConfig, corrects: bool
) -> LearnedSimulator:
    """The planner's simulator on what will be learned.

    Args:
      physics: the planner's, as they would be without learning.
      config: sizes of the ensemble, and how plans are rolled out on it.
      corrects: whether the networks correct the physics; or stand in their place.

    Raises:
      TaskError: states that cannot be learned.
    """
    dynamics = LearnedDynamics.of(config, physics, corrects)

    def step(model: Ensemble, state: State, action):
        """By the mean of one network."""
        mean, _ = dynamics.predicted(model, state, action)
        before = dynamics.before_correction(model.physics, state, action)
        following, reading = dynamics.coordinates.moved(before, mean), read(model, state)
        if (advance := physics.task.advance) is not None:
            following = following._replace(variables=advance(reading, state.variables, action))
        return following, reading

    def read(model: Ensemble, state: State):
        return physics.read(_physics_in(model), state)

    return LearnedSimulator(
        task=physics.task,
        backend=physics.backend,
        form=physics.form,
        action_size=physics.action_size,
        num_activations=physics.num_activations,
        make_models=physics.make_models,
        steps_per_control=physics.steps_per_control if corrects else 1,
        trajectory_bytes=max(1, config.particles) * (8 * config.hidden_width + 64),
        step=step,
        read=read,
        particles=functools.partial(_particles, dynamics),
        num_particles=config.particles,
        dynamics=dynamics,
    )


def _physics_in(model: Ensemble | Model) -> Model:
    """Of a network; or as they are, which is what `true_model` gives."""
    return model.physics if isinstance(model, Ensemble) else model


def _particles(
    dynamics: LearnedDynamics, models: Ensemble, start: State, actions: jax.Array, key: jax.Array
) -> Trajectory:
    """Trajectories `[P, T + 1]` of particles with actions `[P, T, nu]`; see `Simulator.particles`.

    Particle p is with network p mod D, throughout or (ts1) as often as with any other, or with the
    mean of all.
    """
    config, count = dynamics.config, actions.shape[0]
    starts = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), start)

    def step(states: State, item):
        action, key = item
        order_key, noise_key = jax.random.split(key)
        noise = jax.random.normal(noise_key, (count, dynamics.coordinates.size))
        if not config.sample_noise:
            noise = jnp.zeros_like(noise)
        if config.propagation == 'mean':
            return mean_step(dynamics, models, states, action), states
        if config.propagation == 'ts_inf':
            return _network_step(dynamics, models, states, action, noise), states
        order = jax.random.permutation(order_key, count)
        mixed = jax.tree.map(lambda x: x[order], (states, action, noise))
        following = _network_step(dynamics, models, *mixed)
        back = jnp.argsort(order)
        return jax.tree.map(lambda x: x[back], following), states

    keys = jax.random.split(key, actions.shape[1])
    last, before = jax.lax.scan(step, starts, (jnp.swapaxes(actions, 0, 1), keys))
    states = jax.tree.map(
        lambda first, end: jnp.swapaxes(jnp.concatenate([first, end[None]]), 0, 1), before, last
    )
    return _seen(dynamics, models, states, actions)


def _network_step(dynamics: LearnedDynamics, models: Ensemble, states, actions, noise) -> State:
    """A step of particles `[P]`, p with network p mod D: each network sees P / D at once."""
    draws = jax.tree.leaves(models)[0].shape[0]
    of_networks, of_particles = _grouping(draws, len(noise))

    def one(model, state, action, noise):
        mean, deviation = dynamics.predicted(model, state, action)
        before = dynamics.before_correction(model.physics, state, action)
        return dynamics.coordinates.moved(before, mean + deviation * noise)

    groups = jax.tree.map(of_networks, (states, actions, noise))
    each = jax.vmap(jax.vmap(one, in_axes=(None, 0, 0, 0)))
    return jax.tree.map(of_particles, each(models, *groups))


def mean_step(dynamics: LearnedDynamics, models: Ensemble, states: State, actions) -> State:
    """A step of states `[P]` by the mean of all networks, each with its physics."""

    def one(state, action):
        means, _ = jax.vmap(dynamics.predicted, in_axes=(0, None, None))(models, state, action)

        def whole(physics, mean):  # from the state itself, so that networks can be averaged
            before = dynamics.before_correction(physics, state, action)
            return dynamics.coordinates.change(state, dynamics.coordinates.moved(before, mean))

        changes = jax.vmap(whole)(models.physics, means)
        return dynamics.coordinates.moved(state, changes.mean(axis=0))

    return jax.vmap(one)(states, actions)


def _grouping(draws: int, count: int) -> tuple[Callable, Callable]:
    """Between particles `[P, ...]` and networks `[D, P / D, ...]`."""

    def of_networks(x):
        return jnp.swapaxes(x.reshape(count // draws, draws, *x.shape[1:]), 0, 1)

    def of_particles(x):
        return jnp.swapaxes(x, 0, 1).reshape(count, *x.shape[2:])

    return of_networks, of_particles


def _seen(dynamics: LearnedDynamics, models: Ensemble, states: State, actions) -> Trajectory:
    """What the task reads on trajectories `[P, T + 1]`, by the kinematics of the first draw.

    Variables that evolve do so along them.
    """
    physics, task = dynamics.physics, dynamics.physics.task
    model = jax.tree.map(lambda x: x[0], models.physics)
    readings = jax.vmap(jax.vmap(lambda state: physics.read(model, state)))(states)
    along = Trajectory(readings, states)
    if task.advance is None:
        return along
    return jax.vmap(functools.partial(variables_along, task.advance))(along, actions)
