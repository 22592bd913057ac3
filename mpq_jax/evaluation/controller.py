"""An agent that remembers its plan: ask it for one action after the other."""

import functools
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base.compilation import compile, program_errors
from mpq_jax.base.spreading import spread_over
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import Model, State, all_finite, with_emitters
from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.planner import Diagnostics, Plan


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
        spread = spread_over(agent.execution.sample_devices, planner.num_samples)
        self._agent = agent
        self._planner, self._q_params, self._models = spread.placed((planner, q_params, models))
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
            functools.partial(_act, agent), self._planner, self._q_params, self._models, example,
            self._plan, self._key, name='act', out_shardings=spread.everywhere,
            fusion_emitters=with_emitters(simulator),
        )  # fmt: skip
        self.tried_at = jax.tree.map(np.asarray, first)  # qpos, qvel, variables
        self.act(*self.tried_at)
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
        self._plan = fresh if plan is None else checked('plan', plan, fresh)
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
        call = self.program(qpos, qvel, variables)
        with program_errors():
            (action, self._plan, self.diagnostics), self._kept, self._key = jax.block_until_ready(
                call()
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

    def program(self, qpos, qvel, variables=None) -> Callable[[], Any]:
        """What `act` computes there, as one call that changes nothing here; see `act`."""
        activations, warmstart, kept = self._kept or (*self._rest, ())
        state = State(
            checked('qpos', qpos, self._start.qpos),
            checked('qvel', qvel, self._start.qvel),
            activations,
            warmstart,
            checked('variables', kept if variables is None else variables, self._start.variables),
        )
        return functools.partial(
            self._act, self._planner, self._q_params, self._models, state, self._plan, self._key
        )


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


def checked(field: str, value, wanted) -> Any:
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
