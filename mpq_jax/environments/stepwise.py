"""Episodes on real systems that JAX cannot trace: the same agent, one control step at a time."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.base.machine import usable_cores
from mpq_jax.base.spreading import spread_over
from mpq_jax.config import BasePlannerConfig
from mpq_jax.dynamics import Model
from mpq_jax.environments.episode import Episode, assemble, describe, episode_keys
from mpq_jax.environments.going_members import GoingMembers, stack
from mpq_jax.environments.real_system import Measurement, RealSystem
from mpq_jax.planning.agent import Agent, QParams

# (function, shapes of its arguments, number of members) -> the program.
CompileStep = Callable[[Callable, Sequence, int], CompiledFunction]


def compile_step(
    control_step: Callable, shapes: Sequence, size: int, fusion_emitters: bool = False
) -> CompiledFunction:
    """Compiles it each time it is asked for."""
    name = f'act {size}'
    return compile(control_step, *shapes, name=name, fusion_emitters=fusion_emitters)


class StepwiseRunner:
    """Drives one real system a seed; planning is one program, vmapped over the seeds here."""

    def __init__(
        self, planner: BasePlannerConfig, agent: Agent, q_params: QParams, models: Model,
        compile_step: CompileStep = compile_step,
    ):  # fmt: skip
        """Compiles for the shapes given; every argument has the leading seed axis `[S]`."""
        self._seeds = jax.tree.leaves(planner)[0].shape[0]
        self._agent, self._task = agent, agent.simulator.task
        self._spread = spread_over(agent.execution.sample_devices, planner.num_samples)

        def control_step(planner, q_params, models, measurement, plan, keys, t):
            def one(planner, q_params, models, measurement, plan, key):
                state, reading = measurement
                action, plan, info = agent.act(
                    planner, q_params, models, state, plan, jax.random.fold_in(key, t), reading
                )
                instant = describe(self._task, reading, state.variables, state, action)
                return instant, plan, info

            acted = jax.vmap(one)(planner, q_params, models, measurement, plan, keys)
            return self._spread.together(acted)

        keys = jax.random.split(jax.random.key(0), self._seeds)
        starts = jax.eval_shape(jax.vmap(lambda key: measured_start(agent, key)), keys)
        self._plan = jax.vmap(agent.first_plan)(planner)
        self._control_step, self._compile_step = control_step, compile_step
        self._shapes = jax.eval_shape(
            lambda *x: x, planner, q_params, models, starts, self._plan, keys
        )
        self.program_of(self._seeds)
        self._assemble = jax.jit(jax.vmap(assemble))
        advance = self._task.advance
        self._following = None if advance is None else jax.jit(jax.vmap(advance))

    def program_of(self, size: int) -> CompiledFunction:
        """One control step of so many members, compiled when it is first asked for."""
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                (size, *x.shape[1:]), x.dtype, sharding=self._spread.everywhere
            ),
            self._shapes,
        )
        return self._compile_step(self._control_step, (*shapes, jnp.int32(0)), size)

    def run(
        self,
        planner: BasePlannerConfig,
        q_params: QParams,
        models: Model,
        systems: Sequence[RealSystem],
        keys: jax.Array,
        keep_plans: bool = False,
        on_step: Callable[[str], None] = lambda text: None,
    ) -> Episode:
        """One episode on each of the S systems, with keys `[S]`; leading axis S throughout.

        Systems step in parallel threads, and stop where their episode is over. With `keep_plans`,
        transitions hold the plan at s'.
        `on_step` is told before each control step how far it is, and may end all by raising.
        Where every episode has ended, nothing more is planned; where half of them have, for those
        alone that go on.
        """
        start_keys, plan_keys = jax.vmap(episode_keys)(keys)
        alive = np.ones(self._seeds, bool)
        history, plans = [], []
        planned = GoingMembers(
            self.program_of, self._task.terminated is not None, (planner, q_params, models),
            self._plan, plan_keys,
        )  # fmt: skip
        with _threads() as threads:
            now = list(threads.map(lambda system, key: system.reset(key), systems, start_keys))
            for t in range(self._task.episode_steps):
                on_step(
                    f'control step {t + 1} of {self._task.episode_steps}, {self._seeds} episodes'
                )
                instant, plan, info = planned.act(now, alive, jnp.int32(t))
                going = alive & ~np.asarray(instant.terminated)
                after = list(threads.map(_advance, systems, np.asarray(instant.action), going, now))
                after = self._with_variables(now, instant.action, after)
                answered = np.array([m is not None for m in after])
                finite = np.array([_finite(m) for m in after])
                finite = finite & np.isfinite(np.asarray(instant.cost))
                taken, broken = going & answered & finite, going & answered & ~finite
                now = [new if ok else old for new, ok, old in zip(after, taken, now, strict=True)]
                _stop(systems, alive & ~taken)
                alive = taken
                history.append((instant, taken, broken, info))
                plans.append(jax.tree.map(np.asarray, plan) if keep_plans else ())
                if not alive.any():
                    break
        _stop(systems, alive)
        last = instant
        if alive.any():
            last, _, _ = planned.act(now, alive, jnp.int32(0))
        missing = self._task.episode_steps - len(history)
        nothing = np.zeros(self._seeds, bool)
        history += [(instant, nothing, nothing, info)] * missing
        instants, valid, broken, info = stack(history, axis=1)
        kept = stack(plans + plans[-1:] * missing, axis=1) if keep_plans else ()
        episode = self._assemble(instants, last, valid, broken, info, kept)
        return episode._replace(summary=episode.summary._replace(**_own_figures(systems)))

    def _with_variables(self, now, actions, after: list) -> list[Measurement | None]:
        """The task's own variables a control step later, where they evolve: systems hold them."""
        if self._following is None:
            return after
        here = stack(now)
        later = jax.device_get(self._following(here.reading, here.state.variables, actions))
        return [
            m and m._replace(
                state=m.state._replace(variables=jax.tree.map(lambda x, i=i: x[i], later))
            )
            for i, m in enumerate(after)
        ]  # fmt: skip


def measured_start(agent: Agent, key: jax.Array) -> Measurement:
    """What a simulated system measures at a start: the shapes that any system must return."""
    simulator = agent.simulator
    state = simulator.state(simulator.task.reset(key))
    return Measurement(state, simulator.read(simulator.true_model(), state))


def _advance(system: RealSystem, action, going: bool, before: Measurement) -> Measurement | None:
    return system.step(action) if going else before


def _own_figures(systems: Sequence[RealSystem]) -> dict[str, np.ndarray]:
    """What systems with rewards of their own say of the episode `[S]`; NaN of others."""
    return {
        name: np.array([float(getattr(system, name, np.nan)) for system in systems], np.float32)
        for name in ('own_return', 'own_terminated')
    }


def _stop(systems: Sequence[RealSystem], which: np.ndarray) -> None:
    """No control step follows soon: those that can come to rest do so, and keep nobody waiting."""
    for system, now in zip(systems, which, strict=True):
        if now and hasattr(system, 'stop'):
            system.stop()


@contextlib.contextmanager
def _threads() -> Iterator[ThreadPoolExecutor]:
    """One a core; a failure does not wait for calls that hang."""
    pool = ThreadPoolExecutor(max_workers=usable_cores())
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _finite(measurement: Measurement | None) -> bool:
    return all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(measurement))
