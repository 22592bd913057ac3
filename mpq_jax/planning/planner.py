"""A planner is a value: a record of pure functions over a plan of its own making.

Written for one state. Sizes are static fields of the planner's config, the numbers of the
mathematics are its leaves, so that seeds and values of them share one program.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base.spreading import spread_over
from mpq_jax.config import BasePlannerConfig

Plan = Any  # a planner's state from one control step to the next: a pytree of arrays
CostsOf = Callable[[jax.Array], jax.Array]  # plans [N, H, nu] -> costs [N]


class Candidates(NamedTuple):
    """One batch of sampled plans."""

    actions: jax.Array  # [N, H, nu], in [-1, 1]
    drawn: Any = ()  # what else the update needs: MPPI's noise before clipping


class Update(NamedTuple):
    """What the planner made of a scored batch."""

    plan: Plan
    weights: jax.Array  # [N], of each candidate; they sum to 1, or are 0 where none is finite
    scores: jax.Array  # [N], by which it judged: costs, and what it adds to them
    misses_target: Any = False  # whether the weights are not as the config wants them


class Planner(NamedTuple):
    """How plans are begun, sampled, improved, carried on and acted on.

    Every function is pure; a plan may be any pytree of arrays of fixed shapes. The config that the
    functions get is of the class of `config`.
    """

    config: BasePlannerConfig  # or of a subclass: its defaults
    init: Callable[[Any, int], Plan]  # of so many actions nu; no control
    sample: Callable[[Any, Plan, jax.Array], Candidates]  # from a random key
    # (config, plan, candidates, costs [N]) -> the better plan; costs are infinite where a
    # trajectory was not finite, and a plan stays as it is where all are.
    update: Callable[[Any, Plan, Candidates, jax.Array], Update]
    shift: Callable[[Any, Plan], Plan]  # (config, plan) -> the plan one control step later
    first_action: Callable[[Plan], jax.Array]  # [nu], in [-1, 1]
    # (config, plan, candidates, costs [N], number of model draws) -> V, the soft value of the
    # state that the candidates start from. None: the planner has none, and Q cannot learn from it.
    soft_value: Callable[[Any, Plan, Candidates, jax.Array, int], jax.Array] | None = None
    # (config, plan) -> whose samples and soft value make Q's targets where they are not just these,
    # and its config and plan.
    targets: 'Callable[[Any, Plan], tuple[Planner, Any, Plan]] | None' = None
    # (config, controls [H, nu]) -> the plan that `init` gives, but for its mean: these controls,
    # exactly. None: it cannot be told what to sample around.
    around: Callable[[Any, jax.Array], Plan] | None = None
    mean: Callable[[Plan], jax.Array] | None = None  # the inverse: where plans are sampled around


class Diagnostics(NamedTuple):
    """How a batch of samples looked; scalars."""

    effective_sample_size: jax.Array  # 1 / sum(w^2), from 1 to N
    best_score: jax.Array
    mean_score: jax.Array  # over the finite ones
    nonfinite_fraction: jax.Array
    misses_target: jax.Array  # 1 where `target_ess` is beyond the bounds of the temperature, else 0


def improve(
    planner: Planner,
    config: BasePlannerConfig,
    costs_of: CostsOf,
    plan: Plan,
    key: jax.Array,
    *,
    iterations: int = 1,
    devices: int = 1,
) -> tuple[Plan, Diagnostics]:
    """Samples, scores and updates a plan, `iterations` times with fresh samples.

    Args:
      planner: how.
      config: its sizes and numbers.
      costs_of: what plans cost from where the system is; `scoring.score` on models of it.
      plan: for now, already shifted.
      key: random key.
      iterations: none leaves the plan as it is.
      devices: that draw and roll out the samples, each its part; all of them update the plan.

    Returns:
      The better plan, and diagnostics of the last iteration.
    """

    def iterate(plan, key):
        candidates, costs = scored(planner, config, costs_of, plan, key, devices)
        updated = planner.update(config, plan, candidates, costs)
        return updated.plan, diagnose(updated)

    if not iterations:
        return plan, no_diagnostics()
    if iterations == 1:
        return iterate(plan, key)
    plan, history = jax.lax.scan(iterate, plan, jax.random.split(key, iterations))
    return plan, jax.tree.map(lambda x: x[-1], history)


def state_value(
    planner: Planner,
    config: BasePlannerConfig,
    costs_of: CostsOf,
    draws: int,
    plan: Plan,
    key: jax.Array,
    *,
    iterations: int,
    devices: int = 1,
) -> tuple[jax.Array, Diagnostics]:
    """Soft value V(s) of a state: that of a fresh batch of samples around an improved plan.

    `plan` is improved by `iterations` first; `draws` is the number of model draws D, the others
    are as for `improve`.

    Returns:
      V, a scalar (infinite when no sample was finite), and diagnostics of the fresh batch.
    """
    if planner.targets is not None:
        planner, config, plan = planner.targets(config, plan)
    assert planner.soft_value is not None  # checked when the agent is made
    plan_key, value_key = jax.random.split(key)
    if iterations:
        plan, _ = improve(
            planner, config, costs_of, plan, plan_key, iterations=iterations, devices=devices
        )
    candidates, costs = scored(planner, config, costs_of, plan, value_key, devices)
    value = planner.soft_value(config, plan, candidates, costs, draws)
    return value, diagnose(planner.update(config, plan, candidates, costs))


def scored(
    planner: Planner, config: BasePlannerConfig, costs_of: CostsOf, plan: Plan, key: jax.Array,
    devices: int = 1,
) -> tuple[Candidates, jax.Array]:  # fmt: skip
    """Samples around a plan and their costs `[N]`, made by so many devices; each has them all."""
    spread = spread_over(devices, config.num_samples)
    candidates = spread.apart(planner.sample(config, plan, key), config.num_samples)
    return spread.together((candidates, costs_of(candidates.actions)))


def diagnose(updated: Update) -> Diagnostics:
    finite = jnp.isfinite(updated.scores)
    return Diagnostics(
        effective_sample_size=jnp.where(finite.any(), 1.0 / jnp.sum(updated.weights**2), 0.0),
        best_score=jnp.min(updated.scores),
        mean_score=jnp.mean(updated.scores, where=finite),
        nonfinite_fraction=jnp.mean(~finite),
        misses_target=jnp.asarray(updated.misses_target, jnp.float32),
    )


def no_diagnostics() -> Diagnostics:
    """Of no samples at all."""
    return Diagnostics(*jnp.zeros(len(Diagnostics._fields)))
