"""The planner's beliefs: draws of a task's parameters, as a stack of models."""

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax import keys
from mpq_jax.config import Config, PlannerConfig
from mpq_jax.simulator import Model, Simulator
from mpq_jax.tasks.task import Task


def draw_parameters(task: Task, key: jax.Array, count: int) -> dict[str, np.ndarray]:
    """`count` draws `[count]` of each parameter, uniform in the range the task believes in."""
    uniform = np.asarray(jax.random.uniform(key, (len(task.parameters), count)))
    return {
        p.name: p.low + (p.high - p.low) * u for p, u in zip(task.parameters, uniform, strict=True)
    }


def planner_models(config: Config, simulator: Simulator, key: jax.Array) -> Model:
    """One seed's models, leading axis: D draws, a bank of them, or the true one alone."""
    task = simulator.task
    if config.planner_model == 'true' or not task.parameters:
        return jax.tree.map(lambda leaf: leaf[None], simulator.true_model())
    per_episode = config.planner.redraw == 'episode'
    count = config.planner.bank_size if per_episode else config.planner.num_model_draws
    return simulator.make_models(draw_parameters(task, keys.stream(key, 'models'), count))


def stacked_planner_models(config: Config, simulator: Simulator, seed_keys: jax.Array) -> Model:
    """The models of every seed: leading axes `[S, D]`."""
    each = [planner_models(config, simulator, key) for key in seed_keys]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)


def episode_models(planner: PlannerConfig, models: Model, key: jax.Array, episode) -> Model:
    """The D models that an episode plans with: all of them, or its pick from the bank."""
    count = jax.tree.leaves(models)[0].shape[0] if jax.tree.leaves(models) else 1
    if planner.redraw == 'run' or count == 1:
        return models
    key = keys.stream(key, 'bank', episode)
    picks = jax.random.choice(key, count, (planner.num_model_draws,), replace=False)
    return jax.tree.map(lambda leaf: leaf[picks], models)
