"""Infinite-horizon MPPI: sample around a mean, weight, update, shift; and the free energy.

Equations are numbered as in the full version of Bhardwaj et al., L4DC 2020. All functions
take one state; batches are made by whoever calls them. A plan `[K, nu]` is its mean controls,
or what stands for them where the noise is not white (`noise`).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import Model, Simulator, State
from mpq_jax.planning import noise, planner
from mpq_jax.planning.free_energy import free_energy, misses_target, weights
from mpq_jax.planning.planner import Candidates, Diagnostics, Planner, Update
from mpq_jax.planning.scoring import TerminalCost, num_draws, score


def zero_controls(config: PlannerConfig, action_size: int) -> jax.Array:
    """The plan `[K, nu]` of the prior: no control."""
    return jnp.zeros((noise.size(config), action_size))


def around(config: PlannerConfig, controls: jax.Array) -> jax.Array:
    """The plan `[H, nu]` of white noise around given controls: just these."""
    return controls


def sample(config: PlannerConfig, controls: jax.Array, key: jax.Array) -> Candidates:
    """N plans around the mean controls `[K, nu]`, which are never clipped; the actions are."""
    shape = (config.num_samples, *controls.shape)
    drawn = jnp.sqrt(config.noise_variance) * jax.random.normal(key, shape)
    return Candidates(jnp.clip(noise.controls(config, controls + drawn), -1.0, 1.0), drawn)


def total_scores(
    config: PlannerConfig, controls: jax.Array, candidates: Candidates, costs: jax.Array
) -> jax.Array:
    """S `[N]`: costs and the control term; infinite where either is not finite."""
    terms = jax.vmap(control_cost, in_axes=(None, None, 0))(config, controls, candidates.drawn)
    total = costs + terms
    return jnp.where(jnp.isfinite(total), total, jnp.inf)


def control_cost(config: PlannerConfig, controls: jax.Array, drawn: jax.Array) -> jax.Array:
    """The KL term: lambda sum_t d^t u_t^T Sigma^-1 (u_t + 2 epsilon_t) / 2.

    d is the control discount. At 1 (Eq. 23) the weights are those of importance sampling: a free
    energy does not depend on the plan it is drawn around. Below 1 a plan's far end costs less.
    """
    precision = config.temperature / config.noise_variance
    discounts = config.control_discount ** noise.times(config)
    return 0.5 * precision * jnp.sum(discounts[:, None] * controls * (controls + 2.0 * drawn))


def update(
    config: PlannerConfig, controls: jax.Array, candidates: Candidates, costs: jax.Array
) -> Update:
    """u + alpha sum_n w_n epsilon_n (Eq. 18); unchanged when no sample is finite.

    As lambda grows the control cost draws the plan to the prior: u -> (1 - alpha) u.
    """
    scores = total_scores(config, controls, candidates, costs)
    shares = weights(config, scores)
    step = config.step_size * jnp.tensordot(shares, candidates.drawn, axes=1)
    return Update(controls + step, shares, scores, misses_target(config, shares))


def first_action(controls: jax.Array) -> jax.Array:
    """The first control, which is a plan's first coordinate whatever the noise."""
    return jnp.clip(controls[0], -1.0, 1.0)


def soft_value(
    config: PlannerConfig,
    controls: jax.Array,
    candidates: Candidates,
    costs: jax.Array,
    draws: int = 1,
) -> jax.Array:
    """V(s), the free energy of the samples (Eqs. 7, 24)."""
    return free_energy(config, total_scores(config, controls, candidates, costs), draws)


def targets(config: PlannerConfig, controls: jax.Array) -> tuple[Planner, PlannerConfig, jax.Array]:
    """Q's: MPPI at its own temperature, and its prior white unless `target_noise` is 'acting'."""
    if config.temperature_rule != 'fixed':
        config = dataclasses.replace(config, temperature_rule='fixed')
    if config.noise == 'white' or config.target_noise == 'acting':
        return MPPI, config, controls
    mean = noise.controls(config, controls)
    return MPPI, dataclasses.replace(config, noise='white'), mean


MPPI = Planner(
    PlannerConfig(), zero_controls, sample, update, noise.shift, first_action, soft_value, targets,
    around, lambda controls: controls,
)  # fmt: skip


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
    """Improves mean controls `[H, nu]` by MPPI iterations (Eqs. 16, 18); see `planner.improve`."""
    costs_of = functools.partial(score, config, simulator, terminal_cost, models, state)
    return planner.improve(MPPI, config, costs_of, controls, key, iterations=iterations)


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
    """The free energy of a state (Eqs. 7, 24), and diagnostics; see `planner.state_value`.

    It starts from `controls` `[H, nu]`, or the prior if None.
    """
    if controls is None:
        controls = zero_controls(config, simulator.action_size)
    costs_of = functools.partial(score, config, simulator, terminal_cost, models, state)
    return planner.state_value(
        MPPI, config, costs_of, num_draws(models), controls, key, iterations=iterations
    )
