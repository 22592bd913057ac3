"""What sampled plans cost: one function for all planners. Written for one state."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp

from mpq_jax.base.batching import map_in_chunks
from mpq_jax.base.spreading import spread_over
from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import Model, Rollout, Simulator, State, all_finite, ending, rollout
from mpq_jax.planning.mixing import mixes, stage_cost
from mpq_jax.tasks import Reading, Variables

# (reading of s_{H-1}, variables, action a_{H-1}) -> cost to go: a learned Q, or the stage cost.
TerminalCost = Callable[[Reading, Variables, jax.Array], jax.Array]


def score(
    config: BasePlannerConfig,
    simulator: Simulator,
    terminal_cost: TerminalCost,
    models: Model,
    state: State,
    actions: jax.Array,
    chunk: int = 0,
    key: jax.Array | None = None,
    devices: int = 1,
) -> jax.Array:
    """Costs `[N]` of plans `[N, H, nu]`, each rolled out on its model draw; see `trajectory_cost`.

    Args:
      config: sizes and numbers of the planner.
      simulator: the planner's physics.
      terminal_cost: what follows after H - 1 steps; a `jax.tree_util.Partial` with several devices.
      models: the model draws, leading axis D; sample n uses draw n mod D, held throughout.
      state: where the plans start.
      actions: in [-1, 1].
      chunk: how many are rolled out at once; 0: all.
      key: of the noise of models that are random; others need none.
      devices: each of which rolls out its part of the plans; random models are on all of them.

    Returns:
      Infinite where anything on the way was not finite.
    """
    if simulator.particles is not None:
        costs = _particle_costs(
            config, simulator, terminal_cost, models, state, actions, chunk, key
        )
        return jnp.where(jnp.isfinite(costs), costs, jnp.inf)

    def costs_of(particles, whole):
        config, terminal_cost, state = whole

        def one(particle):
            model, actions = particle
            cost = trajectory_cost(config, simulator, terminal_cost, model, state, actions)
            return jnp.where(jnp.isfinite(cost), cost, jnp.inf)

        return map_in_chunks(one, particles, chunk)

    spread = spread_over(devices, config.num_samples)
    particles = particle_models(config, models), actions
    return spread.split(costs_of, particles, (config, terminal_cost, state))


def _particle_costs(
    config, simulator: Simulator, terminal_cost, models, state, actions, chunk, key
) -> jax.Array:
    """Costs `[N]` on models that are random: the mean over P particles, each plan's with the same
    noise, before any plan is weighed; or of one trajectory a plan (`num_particles` 0).
    """
    roll = simulator.particles
    assert roll is not None and key is not None
    particles, draws = simulator.num_particles, num_draws(models)
    rolled = dataclasses.replace(simulator, trajectory=lambda along, *_: along)

    def costs_of(actions, key):
        """Of particles with actions `[P, H, nu]`."""
        along = roll(models, state, actions[:, :-1], key)
        cost = functools.partial(trajectory_cost, config, rolled, terminal_cost)
        return jax.vmap(cost, in_axes=(0, None, 0))(along, state, actions)

    if particles:

        def one(plan):
            return costs_of(jnp.broadcast_to(plan, (particles, *plan.shape)), key).mean()

        return map_in_chunks(one, actions, chunk)

    def group(item):
        return costs_of(item[0], jax.random.fold_in(key, item[1]))

    grouped = actions.reshape(-1, draws, *actions.shape[1:])
    chunk = -(-chunk // draws)
    return map_in_chunks(group, (grouped, jnp.arange(len(grouped))), chunk).reshape(-1)


def particle_models(config: BasePlannerConfig, models: Model) -> Model:
    """Draws and samples on one axis: the model `[N, ...]` of each sample, n mod D."""
    draw = jnp.arange(config.num_samples) % num_draws(models)
    return jax.tree.map(lambda leaf: leaf[draw], models)


def num_draws(models: Model) -> int:
    """The length of the models' leading axis; 1 for a task without parameters."""
    leaves = jax.tree.leaves(models)
    return leaves[0].shape[0] if leaves else 1


def trajectory_cost(
    config: BasePlannerConfig,
    simulator: Simulator,
    terminal_cost: TerminalCost,
    model: Model,
    state: State,
    actions: jax.Array,
) -> jax.Array:
    """Discounted cost of H actions: H - 1 model steps, then the terminal cost (Eq. 23).

    sum_{t=0}^{H-2} gamma^t c(s_t, a_t) + gamma^{H-1} Q(s_{H-1}, a_{H-1});
    where s_t is the first state, up to s_{H-1}, at which the task terminates:
    sum_{k<t} gamma^k c(s_k, a_k) + gamma^t task.terminal_cost(s_t), whatever would follow;
    NaN if the trajectory left the finite numbers anywhere, even where the costs do not show it.
    With a `td_schedule`, Q counts on the way as well (`mixing`).
    """
    cost, discount = simulator.task.cost, config.discount
    if mixes(config):
        cost, discount = stage_cost(config, cost, terminal_cost), discount * config.td_lambda
    steps = rollout(simulator, model, state, actions[:-1], cost=cost)
    discounts = discount ** jnp.arange(actions.shape[0])
    last = terminal_cost(steps.reading, steps.state.variables, actions[-1])
    if steps.alive is not None:
        return _terminating_cost(simulator, steps, discounts, last)
    total = jnp.sum(discounts[:-1] * steps.costs) + discounts[-1] * last
    return jnp.where(all_finite(steps.state), total, jnp.nan)


def _terminating_cost(
    simulator: Simulator, steps: Rollout, discounts: jax.Array, last
) -> jax.Array:
    """The same for a task that terminates; `last` is Q, and counts where it has not."""
    ends, ending_cost = ending(simulator.task, steps.reading, steps.state.variables)
    last = jnp.where(ends, ending_cost, last)
    last = jnp.where(all_finite((steps.state, steps.reading)), last, jnp.nan)
    assert steps.alive is not None
    last = jnp.where(steps.alive, discounts[-1] * last, 0.0)
    return jnp.sum(discounts[:-1] * steps.costs) + last
