"""The planner's beliefs: draws of a task's parameters, as a stack of models."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import BeliefConfig, Config
from mpq_jax.dynamics.simulator import Model, Simulator
from mpq_jax.tasks import RandomizedParameter, Task


def prior_range(parameter: RandomizedParameter, belief: BeliefConfig) -> tuple[float, float]:
    """The range a planner draws a parameter from: the task's, moved and scaled by the config.

    Raises:
      ConfigError: it would reach 0, and the task's does not.
    """
    p, bias, spread = parameter, belief.bias, belief.spread
    if bias == spread == 1.0:
        return p.low, p.high
    centre = p.true_value + bias * ((p.low + p.high) / 2 - p.true_value)
    low, high = (centre + spread * half * (p.high - p.low) / 2 for half in (-1, 1))
    if low <= 0 < p.low:
        raise ConfigError(
            'belief.spread',
            spread,
            f'small enough that {p.name} stays above 0 (here from {low:.3g} to {high:.3g}, with '
            f'belief.bias = {bias})',
        )
    return low, high


def draw_parameters(
    task: Task, key: jax.Array, count: int, belief: BeliefConfig | None = None
) -> dict[str, np.ndarray]:
    """`count` draws `[count]` of each parameter, uniform in the planner's belief (the task's)."""
    uniform = np.asarray(jax.random.uniform(key, (len(task.parameters), count)))
    ranges = [prior_range(p, belief or BeliefConfig()) for p in task.parameters]
    return {
        p.name: low + (high - low) * u
        for p, (low, high), u in zip(task.parameters, ranges, uniform, strict=True)
    }


def planner_models(config: Config, simulator: Simulator, key: jax.Array) -> Model:
    """One seed's models, leading axis: D draws, a bank of them, or the true one alone.

    Where models are learned, a draw for each network.
    """
    task, count = simulator.task, config.num_model_draws
    if config.planner_model == 'true' or not task.parameters:
        count = count if config.learns_dynamics else 1
        return jax.tree.map(lambda x: jnp.repeat(x[None], count, 0), simulator.true_model())
    belief = config.belief
    count = belief.bank_size if belief.redraw == 'episode' else count
    values = draw_parameters(task, keys.stream(key, 'models'), count, belief)
    return simulator.make_models(values)


def dr_models(config: Config, simulator: Simulator, key: jax.Array) -> Model:
    """The bank `[M]` that domain randomisation redraws the system itself from."""
    key = keys.stream(key, 'dr')
    values = draw_parameters(simulator.task, key, config.dr_bank_size, config.belief)
    return simulator.make_models(values)


def stacked(
    make: Callable[[Config, Simulator, jax.Array], Model],
    configs: Sequence[Config],
    simulator: Simulator,
    seed_keys: jax.Array,
) -> Model:
    """The models of every member of a batch, each with its config and key: `[B, ...]`."""
    each = [make(config, simulator, key) for config, key in zip(configs, seed_keys, strict=True)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def episode_models(belief: BeliefConfig, models: Model, key: jax.Array, episode) -> Model:
    """The D models that an episode plans with: all of them, or its pick from the bank."""
    count = jax.tree.leaves(models)[0].shape[0] if jax.tree.leaves(models) else 1
    if belief.redraw == 'run' or count == 1:
        return models
    key = keys.stream(key, 'bank', episode)
    picks = jax.random.choice(key, count, (belief.num_draws,), replace=False)
    return jax.tree.map(lambda leaf: leaf[picks], models)
