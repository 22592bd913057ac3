"""An agent that remembers its plan: ask it for one action after the other."""

import functools
import math
import time
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base import keys
from mpq_jax.base.compilation import compile, program_errors
from mpq_jax.base.validation import ConfigError, check_between
from mpq_jax.config import BasePlannerConfig, Config
from mpq_jax.dynamics import Model, State, all_finite, for_planner, make_simulator
from mpq_jax.dynamics.randomization import episode_models, planner_models
from mpq_jax.evaluation.loading import load_run
from mpq_jax.planning.agent import Agent, QParams, make_agent
from mpq_jax.planning.mixing import at_end
from mpq_jax.planning.planner import Diagnostics, Plan
from mpq_jax.tasks import keep_tasks, load_task
from mpq_jax.training import memory
from mpq_jax.training.assembly import of_field


class Controller:
    """Plans from where the system is, one call a control step; compiled and tried as it is made.

    Between the calls it keeps the plan, what a model step makes of actuator activations and the
    solver's warm start, and the variables of a task that has `advance`.
    """

    def __init__(
        self,
        planner: BasePlannerConfig,
        agent: Agent,
        q_params: QParams,
        models: Model,
        seed: int = 0,
    ):
        self._planner, self._q_params, self._models = planner, q_params, models
        self._agent = agent
        self.reset(seed)
        self.diagnostics: Diagnostics | None = None  # of the last action's samples
        simulator = agent.simulator
        reset = simulator.task.reset
        self._start = jax.eval_shape(reset, self._key)
        self._warned = False
        first = compile(reset, self._key, name='reset')(self._key)
        example = simulator.state(first)
        self._rest = example.act, example.warmstart
        self._act = compile(
            functools.partial(_act, agent),
            planner,
            q_params,
            models,
            example,
            self._plan,
            self._key,
        )
        self.act(*jax.tree.map(np.asarray, first))
        self.reset(seed)
        self.diagnostics, self._warned = None, False

    def reset(self, seed: int = 0, plan: Plan | None = None) -> None:
        """Forgets what it kept: call it at the start of an episode.

        Args:
          seed: of the planner's random numbers.
          plan: where planning begins, as `plan` has it; None: at no control.

        Raises:
          ConfigError: a plan of another structure or shape.
        """
        fresh = self._agent.first_plan(self._planner)
        self._plan = fresh if plan is None else _checked('plan', plan, fresh)
        self._kept: tuple | None = None  # activations, warm start, variables
        self._heard = math.nan
        self._key = jax.random.key(seed)

    @property
    def plan(self) -> Plan:
        """Of the last action, shifted for the next: MPPI's is the mean controls `[H, nu]`."""
        return self._plan

    @property
    def staleness(self) -> float:
        """Control steps since it was told where the system is; NaN before the first time."""
        return (time.monotonic() - self._heard) / self._agent.simulator.task.control_timestep

    def act(self, qpos, qvel, variables=None) -> np.ndarray:
        """The action `[nu]` in [-1, 1] for a system at qpos `[nq]`, qvel `[nv]`.

        Where no sampled plan has a finite cost, the plan stays as it was, and a warning says so
        once.

        Args:
          qpos, qvel: where the system is.
          variables: the task's; None: those that its `advance` made of the last ones, or the last
            ones given, or () for a task without.

        Raises:
          ConfigError: positions, velocities or variables of another shape or structure than the
            task's, or not finite.
        """
        heard = time.monotonic()
        activations, warmstart, kept = self._kept or (*self._rest, ())
        state = State(
            _checked('qpos', qpos, self._start.qpos),
            _checked('qvel', qvel, self._start.qvel),
            activations,
            warmstart,
            _checked('variables', kept if variables is None else variables, self._start.variables),
        )
        with program_errors():
            (action, self._plan, self.diagnostics), self._kept, self._key = jax.block_until_ready(
                self._act(self._planner, self._q_params, self._models, state, self._plan, self._key)
            )
        self._heard = heard
        if not self._warned and float(self.diagnostics.nonfinite_fraction) == 1.0:
            self._warned = True
            warnings.warn(
                f'no sampled plan has a finite cost at qpos = {np.asarray(qpos)}, qvel = '
                f'{np.asarray(qvel)}: the plan is left as it was',
                stacklevel=2,
            )
        return np.asarray(action)


def _act(agent: Agent, planner, q_params, models, state: State, plan, key):
    """An action, plan and diagnostics; what is kept for the next call; the next key."""
    following, key = jax.random.split(key)  # in here: by itself it is compiled on first use
    simulator = agent.simulator
    acted = agent.act(planner, q_params, models, state, plan, key)
    kept = state
    if simulator.num_activations or simulator.task.advance is not None:
        model = jax.tree.map(lambda x: x[0], models)
        kept, _ = simulator.step(model, state, acted[0])
        sound = all_finite(kept)
        kept = jax.tree.map(lambda new, old: jnp.where(sound, new, old), kept, state)
    return acted, (kept.act, kept.warmstart, kept.variables), following


def _checked(field: str, value, wanted) -> Any:
    """The pytree as arrays of the wanted structure, shapes and types. Raises ConfigError."""
    shapes = jax.tree.map(lambda leaf: leaf.shape, wanted)
    allowed = f'finite, an array of shape {shapes}'
    if field == 'variables':
        allowed = f'those of the task: finite arrays of the shapes {shapes}' if shapes else '()'
    leaves = jax.tree.leaves(wanted)
    structure: Any = jax.tree.structure(wanted)
    try:
        given = structure.flatten_up_to(value)
        arrays: list[Any] = [np.asarray(x, y.dtype) for x, y in zip(given, leaves, strict=True)]
    except (TypeError, ValueError):
        raise ConfigError(field, value, allowed) from None
    good = all(x.shape == y.shape for x, y in zip(arrays, leaves, strict=True))
    numbers = [x for x in arrays if np.issubdtype(x.dtype, np.floating)]
    if not good or not all(np.isfinite(x).all() for x in numbers):
        raise ConfigError(field, jax.tree.map(np.asarray, value), allowed)
    return jax.tree.unflatten(structure, arrays)


@keep_tasks()
def make_controller(config: Config) -> Controller:
    """Plain MPPI on a task, from a config such as `preset(task, 'mppi')`.

    Raises:
      ConfigError: an agent that would have to learn first.
    """
    config.validate()
    if config.learns:
        field = 'agent' if config.learns_q else 'planner_model'
        allowed = "'mppi' with a model that is not learned; load a trained run for others"
        raise ConfigError(field, getattr(config, field), allowed)
    task = load_task(config.task)
    with of_field('planner_physics'):
        simulator = make_simulator(task, for_planner(task, config.planner_physics))
    config = memory.with_chunks(config, simulator, 1)
    models = planner_models(config, simulator, keys.seed_keys([config.seed])[0])
    return Controller(_arrays(config.planner), make_agent(config, simulator, None), (), models)


@keep_tasks()
def load_controller(
    run_dir: str | Path,
    seed: int | None = None,
    variant: int = 0,
    parameters: str = 'last',
    *,
    task: str | None = None,
) -> Controller:
    """The controller of a trained run: one seed's parameters, with the models it planned with.

    No real system is needed for it, whatever the run was trained on.

    Args:
      run_dir: a run directory.
      seed: one of the run's; the first if None.
      variant: which of the batch's variants, of a run that has them.
      parameters: the 'last', or the 'best' by validation (the last where there was none).
      task: the run's `module:factory`, where its task is not a registered one; not needed where
        this process has loaded it already.

    Raises:
      RunError, ConfigError: no such run, checkpoint, seed or variant; a task that has to be given.
    """
    programs, saved, _ = load_run(run_dir, None, task)
    batch, config = programs.batch, programs.config
    if seed is not None and seed not in config.seeds:
        raise ConfigError('seed', seed, f"one of the run's: {config.seeds}")
    check_between('variant', variant, 0, max(0, len(batch.variants) - 1))
    row = batch.members.index((variant, config.seed if seed is None else seed))
    q_params = programs.parameters(saved.state, parameters)
    one = jax.tree.map(lambda x: x[row], (q_params, saved.state.models, saved.state.key))
    q_params, models, key = one
    planner = programs.members[row].planner
    models = episode_models(config.belief, models, key, 0)
    return Controller(_arrays(at_end(planner)), programs.agent, q_params, models)


def _arrays(planner: BasePlannerConfig) -> BasePlannerConfig:
    return jax.tree.map(jnp.float32, planner)
