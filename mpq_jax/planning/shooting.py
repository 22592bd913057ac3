"""The best of N: predictive sampling around the plan at hand, random shooting over the whole box.

Predictive sampling: Howell et al., *Predictive Sampling: Real-time Behaviour Synthesis with MuJoCo*
(2022). The plan is that of MPPI, and Q's targets are made as MPPI makes them.
"""

import jax
import jax.numpy as jnp

from mpq_jax.config import PREDICTIVE_SAMPLING, RANDOM_SHOOTING, PlannerConfig
from mpq_jax.planning import mppi, noise
from mpq_jax.planning.planner import Candidates, Update


def sample_around(config: PlannerConfig, controls: jax.Array, key: jax.Array) -> Candidates:
    """The plan `[K, nu]` itself and N - 1 with noise added; `drawn` is what is before clipping."""
    around = mppi.sample(config, controls, key)
    itself = jnp.clip(noise.controls(config, controls), -1.0, 1.0)
    return Candidates(around.actions.at[0].set(itself), controls + around.drawn.at[0].set(0.0))


def sample_box(config: PlannerConfig, controls: jax.Array, key: jax.Array) -> Candidates:
    """N plans, uniform over the action box: each knot, each control of coloured noise."""
    shape = (config.num_samples, *controls.shape)
    if config.noise == 'coloured':
        normal = noise.controls(config, jax.random.normal(key, shape))
        actions = jax.lax.erf(jnp.sqrt(0.5) * normal)  # 2 Phi - 1
        return Candidates(actions, actions)
    drawn = jax.random.uniform(key, shape, minval=-1.0, maxval=1.0)
    return Candidates(jnp.clip(noise.controls(config, drawn), -1.0, 1.0), drawn)


def update(
    config: PlannerConfig, controls: jax.Array, candidates: Candidates, costs: jax.Array
) -> Update:
    """`step_size` of the way to the cheapest; the plan as it is where no cost is finite."""
    return _towards(config, controls, candidates.drawn[jnp.argmin(_finite(costs))], costs)


def update_box(
    config: PlannerConfig, controls: jax.Array, candidates: Candidates, costs: jax.Array
) -> Update:
    """The same; coloured samples are controls, which a plan has coordinates of."""
    best = candidates.drawn[jnp.argmin(_finite(costs))]
    if config.noise == 'coloured':
        best = noise.coordinates(config, best)
    return _towards(config, controls, best, costs)


def _finite(costs: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(costs), costs, jnp.inf)


def _towards(config: PlannerConfig, controls: jax.Array, best: jax.Array, costs: jax.Array):
    scores = _finite(costs)
    any_finite = jnp.isfinite(scores).any()
    moved = controls + config.step_size * (best - controls)
    shares = any_finite * jax.nn.one_hot(jnp.argmin(scores), config.num_samples)
    return Update(jnp.where(any_finite, moved, controls), shares, scores)


_BEST = mppi.MPPI._replace(update=update, mean=None)  # its samples are no noise
PREDICTIVE = _BEST._replace(config=PREDICTIVE_SAMPLING, sample=sample_around)
RANDOM = _BEST._replace(config=RANDOM_SHOOTING, sample=sample_box, update=update_box)
