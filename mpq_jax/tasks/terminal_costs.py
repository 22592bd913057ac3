"""What it costs to end early, for tasks with `terminated`.

A trajectory that terminates at s_t costs sum_{k<t} gamma^k c(s_k, a_k) + gamma^t C(s_t), with C
the task's `terminal_cost`. Where costs are positive and C = 0, the cheapest way is to end at once.
"""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp

from mpq_jax.base.validation import ConfigError
from mpq_jax.tasks.task import Reading, Variables


def cost_to_go(cost_per_step: float, discount: float) -> Callable[[Reading, Variables], jax.Array]:
    """A `terminal_cost`: what `cost_per_step` would have cost from here on, for ever.

    C = sum_{k>=0} gamma^k c = c / (1 - gamma). With c at least the highest cost of a step,
    ending is never cheaper than going on, whatever happens.

    Args:
      cost_per_step: c, of a control step.
      discount: gamma, that of `planner.discount`, in [0, 1).

    Raises:
      ConfigError: a cost that is not finite, or a discount of 1 or more.
    """
    _check_finite('cost_per_step', cost_per_step)
    if not 0.0 <= discount < 1.0:
        raise ConfigError('discount', discount, 'at least 0 and below 1')
    total = cost_per_step / (1.0 - discount)
    return lambda reading, variables: jnp.float32(total)


def alive_bonus(
    bonus: float, cost: Callable[[Reading, Variables, jax.Array], jax.Array]
) -> Callable[[Reading, Variables, jax.Array], jax.Array]:
    """A `cost` from which every control step alive takes `bonus` off: c(s, a) - bonus.

    With a `terminal_cost` of 0, a trajectory of t steps costs sum_{k<t} gamma^k (c_k - bonus): with
    a bonus above the cost of a step, living longer is always cheaper. Returns grow by the bonus a
    step.

    Raises:
      ConfigError: a bonus that is not finite.
    """
    _check_finite('bonus', bonus)
    return lambda reading, variables, action: cost(reading, variables, action) - bonus


def _check_finite(field: str, value: float) -> None:
    if not math.isfinite(value):
        raise ConfigError(field, value, 'a finite number')
