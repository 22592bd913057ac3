"""Dynamic mirror descent MPC: a Gaussian over plans, moved by a loss of their costs; and CEM.

Wagener, Cheng, Sacks and Boots, *An Online Learning Approach to Model Predictive Control* (RSS
2019). With two step sizes the covariance is that of the exact update at its own step, which
stays positive; the eigenvalues are kept above a floor. All functions take one state.
"""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.config import CEM, DMDConfig, PlannerConfig
from mpq_jax.planning import mppi, noise
from mpq_jax.planning.free_energy import free_energy, misses_target, weights
from mpq_jax.planning.planner import Candidates, Planner, Update


class Gaussian(NamedTuple):
    """The distribution of plans; never clipped, the actions drawn from it are."""

    mean: jax.Array  # [K, nu]
    # Of each step a variance [K, nu] ('diagonal'), a matrix [K, nu, nu] ('full'), or one matrix for
    # all steps [nu, nu] ('shared'); () where it stays noise_variance ('fixed').
    covariance: Any = ()


def init(config: DMDConfig, action_size: int) -> Gaussian:
    """The prior: no control, noise_variance in every direction."""
    mean = mppi.zero_controls(config, action_size)
    eye = config.noise_variance * jnp.eye(action_size)
    shapes = {
        'fixed': (),
        'diagonal': jnp.broadcast_to(jnp.diagonal(eye), mean.shape),
        'full': jnp.broadcast_to(eye, (len(mean), *eye.shape)),
        'shared': eye,
    }
    return Gaussian(mean, shapes[config.covariance])


def around(config: DMDConfig, controls: jax.Array) -> Gaussian:
    """The prior's covariance around given controls `[H, nu]`, where the noise is white."""
    return init(config, controls.shape[-1])._replace(mean=controls)


def sample(config: DMDConfig, plan: Gaussian, key: jax.Array) -> Candidates:
    """N plans; what is drawn is the noise `[N, K, nu]` before clipping."""
    normal = jax.random.normal(key, (config.num_samples, *plan.mean.shape))
    if config.covariance == 'fixed':
        drawn = jnp.sqrt(config.noise_variance) * normal
    elif config.covariance == 'diagonal':
        drawn = jnp.sqrt(plan.covariance) * normal
    else:
        drawn = jnp.einsum('...ij,n...j->n...i', jnp.linalg.cholesky(plan.covariance), normal)
    return Candidates(jnp.clip(noise.controls(config, plan.mean + drawn), -1.0, 1.0), drawn)


def update(config: DMDConfig, plan: Gaussian, candidates: Candidates, costs: jax.Array) -> Update:
    """The mirror step; the plan stays as it is where no sample is finite."""
    scores = jnp.where(jnp.isfinite(costs), costs, jnp.inf)
    if config.importance_sampling:
        scores = total_scores(config, plan, candidates, costs)
    shares = _LOSSES[config.loss](config, scores)
    moved = jnp.tensordot(shares, candidates.drawn, axes=1)
    mean = plan.mean + config.step_size * moved
    covariance = plan.covariance
    if config.covariance != 'fixed':
        new = _covariance(config, plan, candidates.drawn, shares, moved)
        covariance = jnp.where(jnp.isfinite(scores).any(), new, covariance)
    moved_plan = Gaussian(mean, covariance)
    misses = misses_target(config, shares)
    return Update(moved_plan, _counted(config, scores, shares), scores, misses)


def total_scores(
    config: DMDConfig, plan: Gaussian, candidates: Candidates, costs: jax.Array
) -> jax.Array:
    """S `[N]`: costs and the control term; infinite where either is not finite."""
    terms = jax.vmap(control_cost, in_axes=(None, None, 0))(config, plan, candidates.drawn)
    total = costs + terms
    return jnp.where(jnp.isfinite(total), total, jnp.inf)


def control_cost(config: DMDConfig, plan: Gaussian, deviation: jax.Array) -> jax.Array:
    """lambda log(density of the plan / density of the prior) at the mean plus `[K, nu]`.

    Each step's term is discounted by the control discount. With the prior's covariance it is
    MPPI's control term.
    """
    if config.covariance == 'fixed':
        return mppi.control_cost(config, plan.mean, deviation)
    prior = config.noise_variance
    discounts = config.control_discount ** noise.times(config)
    if config.covariance == 'diagonal':  # constant, linear and quadratic in the deviation
        discounts = discounts[:, None]
        same = jnp.sum(discounts * (plan.mean**2 / prior - jnp.log(plan.covariance / prior)))
        slope = discounts * 2.0 * plan.mean / prior
        bend = discounts * (1.0 / prior - 1.0 / plan.covariance)
        terms = same + jnp.vdot(slope, deviation) + jnp.vdot(bend, deviation**2)
        return 0.5 * config.temperature * terms
    drawn = plan.mean + deviation
    factors = jnp.broadcast_to(
        jnp.linalg.cholesky(plan.covariance), (*drawn.shape, drawn.shape[-1])
    )
    solved = jax.scipy.linalg.solve_triangular(factors, deviation[..., None], lower=True)
    logs = jnp.sum(jnp.log(jnp.diagonal(factors, axis1=-2, axis2=-1) ** 2 / prior), axis=-1)
    distances = jnp.sum(drawn**2, axis=-1) / prior - jnp.sum(solved[..., 0] ** 2, axis=-1)
    return 0.5 * config.temperature * jnp.sum(discounts * (distances - logs))


def shift(config: DMDConfig, plan: Gaussian) -> Gaussian:
    """One control step later; behind the last coordinate comes the prior's covariance.

    Covariances grow by `covariance_growth` of the prior's, or go back to it by what is not
    `covariance_kept`: a plan goes on exploring.
    """
    mean = noise.shift(config, plan.mean)
    if config.covariance == 'fixed':
        return Gaussian(mean)
    prior = config.noise_variance * jnp.eye(mean.shape[-1])
    if config.covariance == 'diagonal':
        prior = jnp.diagonal(prior)
    kept = config.covariance_kept
    grown = kept * plan.covariance + (1.0 - kept + config.covariance_growth) * prior
    if config.covariance == 'shared':
        return Gaussian(mean, grown)
    return Gaussian(mean, noise.shift_spread(config, grown, prior))


def _exponential_utility(config: DMDConfig, scores: jax.Array) -> jax.Array:
    return weights(config, scores)


def _low_cost(config: DMDConfig, scores: jax.Array) -> jax.Array:
    """The same share for each of the elite, the cheapest samples; ties go to the first drawn."""
    count = jnp.maximum(jnp.floor(config.elite_fraction * config.num_samples + 1e-4), 1.0)
    last = jnp.sort(scores)[count.astype(int) - 1]
    below, equal = scores < last, scores == last
    elite = below | (equal & (jnp.cumsum(equal) <= count - below.sum()))
    elite &= jnp.isfinite(scores)
    return elite / jnp.maximum(elite.sum(), 1)


def _expected_cost(config: DMDConfig, scores: jax.Array) -> jax.Array:
    """-(C - mean C) / N, of either sign: the gradient of the mean cost, with a baseline."""
    finite = jnp.isfinite(scores)
    count = jnp.maximum(finite.sum(), 1)
    centred = scores - jnp.sum(jnp.where(finite, scores, 0.0)) / count
    return jnp.where(finite, -centred, 0.0) / count


_LOSSES = {
    'exponential_utility': _exponential_utility,
    'low_cost': _low_cost,
    'expected_cost': _expected_cost,
}


def _counted(config: DMDConfig, scores: jax.Array, shares: jax.Array) -> jax.Array:
    """How much each sample counts: its share; all finite ones alike where the mean cost counts."""
    if config.loss != 'expected_cost':
        return shares
    finite = jnp.isfinite(scores)
    return finite / jnp.maximum(finite.sum(), 1)


def _covariance(config: DMDConfig, plan: Gaussian, drawn, shares, moved) -> jax.Array:
    """The covariance after a step in `covariance_step_size`, its eigenvalues above the floor.

    d is the weighted mean of the noise (`moved`), E its weighted second moment about the mean of
    before. 'exact': (1 - g) Sigma + g E - g^2 d d^T, the moments' update; 'old_mean' leaves the
    last term out (mjmpc); 'new_mean' takes E about the new mean (STORM).
    """
    step = config.covariance_step_size
    if config.covariance == 'diagonal':
        spread, outer = jnp.tensordot(shares, drawn**2, axes=1), moved**2
    else:
        spread = jnp.einsum('n,n...i,n...j->...ij', shares, drawn, drawn)
        outer = moved[..., :, None] * moved[..., None, :]
    if config.covariance == 'shared':
        spread, outer = spread.mean(axis=0), outer.mean(axis=0)
    if config.convention == 'exact':
        spread = spread - step * outer
    elif config.convention == 'new_mean':
        spread = spread + (config.step_size**2 - 2.0 * config.step_size) * outer
    new = (1.0 - step * shares.sum()) * plan.covariance + step * spread
    return _floored(config, new, config.covariance_floor)


def _floored(config: DMDConfig, covariance: jax.Array, floor) -> jax.Array:
    """Its eigenvalues raised to `floor`, in noise_variance."""
    floor = floor * config.noise_variance
    if config.covariance == 'diagonal':
        return jnp.maximum(covariance, floor)
    values, vectors = jnp.linalg.eigh(0.5 * (covariance + jnp.swapaxes(covariance, -1, -2)))
    return (vectors * jnp.maximum(values, floor)[..., None, :]) @ jnp.swapaxes(vectors, -1, -2)


def soft_value(
    config: DMDConfig, plan: Gaussian, candidates: Candidates, costs: jax.Array, draws: int = 1
) -> jax.Array:
    """V(s) of the fixed prior from samples of the plan; the control term makes up for its shape."""
    return free_energy(config, total_scores(config, plan, candidates, costs), draws)


def targets(config: DMDConfig, plan: Gaussian) -> tuple[Planner, PlannerConfig, Any]:
    """Q's: those of MPPI's prior, or of an adapted plan, kept wide and drawn to the prior."""
    if config.target_proposal == 'prior':
        return mppi.targets(config, plan.mean)
    floor: Any = jnp.maximum(config.covariance_floor, config.target_floor)
    config = dataclasses.replace(
        config, temperature_rule='fixed', importance_sampling=True, covariance_floor=floor
    )
    wide = plan._replace(covariance=_floored(config, plan.covariance, floor))
    return DMD._replace(soft_value=soft_value, targets=None), config, wide


def _first_action(plan: Gaussian) -> jax.Array:
    return mppi.first_action(plan.mean)


DMD = Planner(
    DMDConfig(), init, sample, update, shift, _first_action, mppi.soft_value, targets, around,
    lambda plan: plan.mean,
)  # fmt: skip
CROSS_ENTROPY = DMD._replace(config=CEM)
