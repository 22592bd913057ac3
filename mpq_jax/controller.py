"""An agent that remembers its plan: ask it for one action after the other."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax import keys, memory, mppi
from mpq_jax.agent import Agent, QParams, make_agent
from mpq_jax.compilation import compile
from mpq_jax.config import Config, PlannerConfig
from mpq_jax.evaluation import load_run
from mpq_jax.randomization import episode_models, planner_models
from mpq_jax.simulator import Model, make_simulator
from mpq_jax.tasks import Start, load_task
from mpq_jax.validation import ConfigError, check_between


class Controller:
    """Plans from where the system is, one call a control step; compiled once, at the start."""

    def __init__(
        self, planner: PlannerConfig, agent: Agent, q_params: QParams, models: Model, seed: int = 0
    ):
        self._planner, self._q_params, self._models = planner, q_params, models
        self._agent = agent
        self.reset(seed)
        self.diagnostics: mppi.Diagnostics | None = None  # of the last action's samples

        def act(planner, q_params, models, start, controls, key):
            state = agent.simulator.state(start)
            return agent.act(planner, q_params, models, state, controls, key)

        start = jax.eval_shape(agent.simulator.task.reset, self._key)
        self._shapes = [leaf.shape for leaf in jax.tree.leaves(start)]
        self._act = compile(act, planner, q_params, models, start, self._controls, self._key)

    def reset(self, seed: int = 0) -> None:
        """Forgets the plan: call it at the start of an episode."""
        self._controls = mppi.zero_controls(self._planner, self._agent.simulator)
        self._key = jax.random.key(seed)

    def act(self, qpos, qvel, variables=()) -> np.ndarray:
        """The action `[nu]` in [-1, 1] for a system at qpos `[nq]`, qvel `[nv]`.

        Raises:
          ConfigError: positions or velocities of another shape than the task's.
        """
        start = Start(jnp.asarray(qpos, jnp.float32), jnp.asarray(qvel, jnp.float32), variables)
        for name, value, shape in zip(('qpos', 'qvel'), start, self._shapes, strict=False):
            if value.shape != shape:
                raise ConfigError(name, np.asarray(value), f'an array of shape {shape}')
        self._key, key = jax.random.split(self._key)
        action, self._controls, self.diagnostics = self._act(
            self._planner, self._q_params, self._models, start, self._controls, key
        )
        return np.asarray(action)


def make_controller(config: Config) -> Controller:
    """Plain MPPI on a task, from a config such as `preset(task, 'mppi')`.

    Raises:
      ConfigError: an agent that would have to learn first.
    """
    config.validate()
    if config.learns:
        raise ConfigError('agent', config.agent, "'mppi' here; load a trained run for the others")
    simulator = make_simulator(load_task(config.task), config.planner_physics)
    config = memory.with_chunks(config, simulator, 1)
    models = planner_models(config, simulator, keys.seed_keys([config.seed])[0])
    return Controller(_arrays(config.planner), make_agent(config, simulator), (), models)


def load_controller(
    run_dir: str | Path, seed: int | None = None, variant: int = 0, parameters: str = 'last'
) -> Controller:
    """The controller of a trained run: one seed's parameters, with the models it planned with.

    Args:
      run_dir: a run directory.
      seed: one of the run's; the first if None.
      variant: which of the config's variants, of a run that has them.
      parameters: the 'last', or the 'best' by validation (the last where there was none).

    Raises:
      RunError, ConfigError: no such run, checkpoint, seed or variant.
    """
    programs, saved, _ = load_run(run_dir)
    config = programs.config
    if seed is not None and seed not in config.seeds:
        raise ConfigError('seed', seed, f"one of the run's: {config.seeds}")
    check_between('variant', variant, 0, max(0, len(config.variants) - 1))
    row = config.members.index((variant, config.seed if seed is None else seed))
    q_params = programs.parameters(saved.state, parameters)
    one = jax.tree.map(lambda x: x[row], (q_params, saved.state.models, saved.state.key))
    q_params, models, key = one
    planner = programs.members[row].planner
    models = episode_models(planner, models, key, 0)
    return Controller(_arrays(planner), programs.agent, q_params, models)


def _arrays(planner: PlannerConfig) -> PlannerConfig:
    return jax.tree.map(jnp.float32, planner)
