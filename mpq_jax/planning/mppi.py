"""Infinite-horizon MPPI: sample, roll out, score, weight, update, shift; and the free energy.

Equations are numbered as in the full version of Bhardwaj et al., L4DC 2020. All functions
take one state; batches are made by whoever calls them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base.batching import map_in_chunks
from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import Model, Rollout, Simulator, State, all_finite, ending, rollout
from mpq_jax.planning.free_energy import free_energy, weights
from mpq_jax.tasks import Reading, Variables

# (reading of s_{H-1}, variables, action a_{H-1}) -> cost to go: a learned Q, or the stage cost.
TerminalCost = Callable[[Reading, Variables, jax.Array], jax.Array]


class Samples(NamedTuple):
    """What one batch of sampled plans was worth."""

    noise: jax.Array  # [N, H, nu], epsilon, unclipped
    scores: jax.Array  # [N], S; infinite where anything on the way was not finite


class Diagnostics(NamedTuple):
    """How a batch of samples looked; scalars."""

    effective_sample_size: jax.Array  # 1 / sum(w^2), from 1 to N
    best_score: jax.Array
    mean_score: jax.Array  # over the finite ones
    nonfinite_fraction: jax.Array


def zero_controls(config: PlannerConfig, simulator: Simulator) -> jax.Array:
    """The plan `[H, nu]` of the prior: no control."""
    return jnp.zeros((config.horizon, simulator.action_size))


def shift(controls: jax.Array) -> jax.Array:
    """The plan one control step later: the first action gone, zeros appended."""
    return jnp.concatenate([controls[1:], jnp.zeros_like(controls[:1])])


def plan(
    config: PlannerConfig,
    simulator: Simulator,
    terminal_cost: TerminalCost,
    models: Model,
    state: State,
    controls: jax.Array,
    key: jax.Array,
    *,
    iterations: int = 1,
) -> tuple[jax.Array, Diagnostics]:
    """Improves a plan by MPPI iterations (Eqs. 16, 18).

    Args:
      config: sizes and numbers of the planner.
      simulator: the planner's physics.
      terminal_cost: what follows after H - 1 steps; `simulator.task.cost` for plain MPPI.
      models: the model draws, leading axis D; sample n uses draw n mod D, held throughout.
      state: where the plan starts.
      controls: mean controls u `[H, nu]` in normalised action units, never clipped.
      key: random key.
      iterations: MPPI iterations, one or more; each draws fresh samples.

    Returns:
      The new mean controls `[H, nu]`, and diagnostics of the last iteration.
    """

    def iterate(controls, key):
        samples = sample_plans(config, simulator, terminal_cost, models, state, controls, key)
        return update(config, controls, samples), diagnostics(config, samples)

    if iterations == 1:
        return iterate(controls, key)
    controls, history = jax.lax.scan(iterate, controls, jax.random.split(key, iterations))
    return controls, jax.tree.map(lambda x: x[-1], history)


def state_value(
    config: PlannerConfig,
    simulator: Simulator,
    terminal_cost: TerminalCost,
    models: Model,
    state: State,
    key: jax.Array,
    *,
    iterations: int,
    controls: jax.Array | None = None,
) -> tuple[jax.Array, Diagnostics]:
    """Soft value V(s) of a state: its free energy (Eqs. 7, 24).

    Starts from `controls` `[H, nu]`, or zero controls (the prior) if None, improves them by
    `iterations` of MPPI, and takes the free energy of a fresh batch from the resulting
    distribution.

    Returns:
      V, a scalar (infinite when no sample was finite), and diagnostics of the fresh batch.
    """
    plan_key, value_key = jax.random.split(key)
    if controls is None:
        controls = zero_controls(config, simulator)
    if iterations:
        controls, _ = plan(
            config, simulator, terminal_cost, models, state, controls, plan_key,
            iterations=iterations,
        )  # fmt: skip
    samples = sample_plans(config, simulator, terminal_cost, models, state, controls, value_key)
    return free_energy(config, samples.scores, num_draws(models)), diagnostics(config, samples)


def sample_plans(
    config: PlannerConfig,
    simulator: Simulator,
    terminal_cost: TerminalCost,
    models: Model,
    state: State,
    controls: jax.Array,
    key: jax.Array,
) -> Samples:
    """Draws N plans around the mean, rolls each out on its model draw, and scores it."""
    shape = (config.num_samples, config.horizon, simulator.action_size)
    noise = jnp.sqrt(config.noise_variance) * jax.random.normal(key, shape)

    def score(particle):
        model, noise = particle
        actions = jnp.clip(controls + noise, -1.0, 1.0)
        cost_to_go = trajectory_cost(config, simulator, terminal_cost, model, state, actions)
        total = cost_to_go + control_cost(config, controls, noise)
        return jnp.where(jnp.isfinite(total), total, jnp.inf)

    particles = particle_models(config, models), noise
    return Samples(noise, map_in_chunks(score, particles, config.sample_chunk))


def particle_models(config: PlannerConfig, models: Model) -> Model:
    """Draws and samples on one axis: the model `[N, ...]` of each sample, n mod D."""
    draw = jnp.arange(config.num_samples) % num_draws(models)
    return jax.tree.map(lambda leaf: leaf[draw], models)


def trajectory_cost(
    config: PlannerConfig,
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
    """
    steps = rollout(simulator, model, state, actions[:-1])
    discounts = config.discount ** jnp.arange(actions.shape[0])
    last = terminal_cost(steps.reading, state.variables, actions[-1])
    if steps.alive is not None:
        return _terminating_cost(simulator, steps, state.variables, discounts, last)
    total = jnp.sum(discounts[:-1] * steps.costs) + discounts[-1] * last
    return jnp.where(all_finite(steps.state), total, jnp.nan)


def _terminating_cost(
    simulator: Simulator, steps: Rollout, variables: Variables, discounts: jax.Array, last
) -> jax.Array:
    """The same for a task that terminates; `last` is Q, and counts where it has not."""
    ends, ending_cost = ending(simulator.task, steps.reading, variables)
    last = jnp.where(ends, ending_cost, last)
    last = jnp.where(all_finite((steps.state, steps.reading)), last, jnp.nan)
    assert steps.alive is not None
    last = jnp.where(steps.alive, discounts[-1] * last, 0.0)
    return jnp.sum(discounts[:-1] * steps.costs) + last


def control_cost(config: PlannerConfig, controls: jax.Array, noise: jax.Array) -> jax.Array:
    """The KL term: lambda sum_t d^t u_t^T Sigma^-1 (u_t + 2 epsilon_t) / 2.

    d is the control discount. At 1 (Eq. 23) the weights are those of importance sampling: a free
    energy does not depend on the plan it is drawn around. Below 1 a plan's far end costs less.
    """
    precision = config.temperature / config.noise_variance
    discounts = config.control_discount ** jnp.arange(controls.shape[0])
    return 0.5 * precision * jnp.sum(discounts[:, None] * controls * (controls + 2.0 * noise))


def update(config: PlannerConfig, controls: jax.Array, samples: Samples) -> jax.Array:
    """u + alpha sum_n w_n epsilon_n (Eq. 18); unchanged when no sample is finite.

    As lambda grows the control cost draws the plan to the prior: u -> (1 - alpha) u.
    """
    shares = weights(config, samples.scores)
    return controls + config.step_size * jnp.tensordot(shares, samples.noise, axes=1)


def diagnostics(config: PlannerConfig, samples: Samples) -> Diagnostics:
    finite = jnp.isfinite(samples.scores)
    shares = weights(config, samples.scores)
    return Diagnostics(
        effective_sample_size=jnp.where(finite.any(), 1.0 / jnp.sum(shares**2), 0.0),
        best_score=jnp.min(samples.scores),
        mean_score=jnp.mean(samples.scores, where=finite),
        nonfinite_fraction=jnp.mean(~finite),
    )


def no_diagnostics() -> Diagnostics:
    """Of no samples at all."""
    return Diagnostics(*jnp.zeros(len(Diagnostics._fields)))


def num_draws(models: Model) -> int:
    """The length of the models' leading axis; 1 for a task without parameters."""
    leaves = jax.tree.leaves(models)
    return leaves[0].shape[0] if leaves else 1
