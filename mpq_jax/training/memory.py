"""How much fits: estimates of what a program needs, before it is compiled."""

import dataclasses
from typing import Any

import jax

from mpq_jax.base.machine import memory_bytes
from mpq_jax.base.spreading import ALONE, Spread, spread_over
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import Config
from mpq_jax.dynamics import Simulator

_GIB = 2**30
# Bytes of trajectories at which a CPU runs fastest: many plans in one program, and one large plan.
# Fewer wait for each operation's start, more leave the cache (BUILD_NOTES.md).
_CPU_BATCH_BYTES = 4 * 2**20
_CPU_PLAN_BYTES = 2**20
# Scalar operations of a plan's physics from which on cores that share its samples gain more than
# they lose by waiting for each other, and what a step of MJX's arrays counts as (BUILD_NOTES.md).
_SHARED_OPERATIONS = 10_000_000
_ARRAYS_OPERATIONS = 10_000
# Physics steps of the planner's models in one program: seconds. What is computed is then written,
# progress shows, signals are heard.
_PROGRAM_STEPS = {'cpu': 4_000_000, 'gpu': 400_000_000}


def available_bytes() -> int:
    """Memory of the default device, or of the machine when that is a CPU."""
    device = jax.devices()[0]
    stats = device.memory_stats() if device.platform != 'cpu' else None
    if stats and 'bytes_limit' in stats:
        return stats['bytes_limit']
    return memory_bytes()


def budget_bytes(config: Config) -> int:
    """What a program's temporaries may take on one device."""
    stated = config.execution.memory_gib
    if stated:
        return int(stated * _GIB)
    sharing = jax.local_device_count() if jax.default_backend() == 'cpu' else 1
    return available_bytes() // 2 // sharing


def check_state(config: Config, members: int, shapes: Any) -> None:
    """Raises ConfigError where a run's state, mostly its buffers, is more than there is."""
    leaves = jax.tree.leaves(shapes)
    needed = sum(leaf.size * getattr(leaf.dtype, 'itemsize', 8) for leaf in leaves)
    if needed > available_bytes():
        raise ConfigError(
            'learner.buffer_capacity',
            config.learner.buffer_capacity,
            f'less: the state of {members} members would take {needed / _GIB:.1f} GiB '
            f'of {available_bytes() / _GIB:.1f}',
        )


def plan_bytes(config: Config, simulator: Simulator) -> int:
    """Estimated temporaries of one plan: N trajectories, their noise, actions and costs."""
    planner = config.planner
    widths = config.learner.hidden_width * config.learner.hidden_layers if config.learns_q else 0
    numbers = 3 * planner.horizon * simulator.action_size + 2 * planner.horizon + 2 * widths
    return planner.num_samples * (simulator.trajectory_bytes + 4 * numbers)


def members_at_once(config: Config, simulator: Simulator, batch: int) -> int:
    """How many of a device's `batch` members to run at once: all, where a plan of each fits.

    Raises:
      ConfigError: not even one fits.
    """
    one = plan_bytes(config, simulator)
    if budget_bytes(config) < one:
        raise ConfigError(
            'execution.memory_gib',
            round(budget_bytes(config) / _GIB, 3),
            f'at least {one / _GIB:.3f}, what one plan of {config.planner.num_samples} samples '
            'takes: lower planner.num_samples or planner.horizon',
        )
    chunks = -(-batch // (budget_bytes(config) // one))
    return -(-batch // chunks)


def plans_at_once(config: Config, simulator: Simulator, wanted: int, batch: int) -> int:
    """How many of `wanted` plans to run at once, in each of `batch` members.

    As many as the budget allows; on a CPU no more than keep it busy.
    """
    fitting = max(1, budget_bytes(config) // (plan_bytes(config, simulator) * batch))
    if jax.default_backend() == 'cpu':
        samples = batch * config.planner.num_samples
        busy = _CPU_BATCH_BYTES // (samples * simulator.trajectory_bytes)
        fitting = min(fitting, max(1, busy))
    return _even_chunk(wanted, fitting)


def spread_of(config: Config, simulator: Simulator, members: int) -> Spread:
    """The devices that share each plan's samples: those the config says, as far as it can be.

    Where it leaves that open, all there are, if they are CPU cores, there is one member, and MJX
    has enough to do. Native MuJoCo uses all cores by itself, Warp one; models that are random
    share their noise.
    """
    wanted, samples = config.execution.sample_devices, config.planner.num_samples
    on_cpu = jax.default_backend() == 'cpu'
    warp = config.planner_physics.impl == 'warp' and on_cpu
    if simulator.backend == 'mujoco' or warp or simulator.particles or not config.plans:
        return ALONE
    if wanted:
        return spread_over(wanted, samples)
    steps = samples * (config.planner.horizon - 1) * simulator.steps_per_control
    pays = steps * (simulator.operations or _ARRAYS_OPERATIONS) >= _SHARED_OPERATIONS
    shared = pays and on_cpu and members == 1 and simulator.backend == 'mjx'
    return spread_over(jax.local_device_count() if shared else 1, samples)


def blocks_of(steps: int) -> int:
    """How many pieces of work of so many physics steps one program should do."""
    most = _PROGRAM_STEPS.get(jax.default_backend(), _PROGRAM_STEPS['gpu'])
    return max(1, most // steps)


def with_chunks(config: Config, simulator: Simulator, batch: int, spread: Spread = ALONE) -> Config:
    """The config with its chunks chosen, where it leaves them open, for `batch` members at once."""
    settings = config.learner
    chunks = dataclasses.replace(config.execution, sample_devices=spread.devices)
    if not chunks.sample_chunk and jax.default_backend() == 'cpu':
        cached = max(1, _CPU_PLAN_BYTES // simulator.trajectory_bytes)
        chunk = _even_chunk(config.planner.num_samples, cached)
        chunks = dataclasses.replace(chunks, sample_chunk=chunk)
    if config.learns_q and not chunks.target_chunk:
        fitted = settings.mode == 'fitted'
        wanted = settings.num_states if fitted else settings.minibatch_size
        chunk = plans_at_once(config, simulator, wanted, batch)
        chunks = dataclasses.replace(chunks, target_chunk=chunk)
    return dataclasses.replace(config, execution=chunks)


def _even_chunk(wanted: int, fitting: int) -> int:
    """The size of chunks of `wanted` items, `fitting` at most; of one size where that costs little.

    Chunks of one size compile once.
    """
    fitting = min(wanted, fitting)
    even = next(size for size in range(fitting, 0, -1) if wanted % size == 0)
    if 2 * even >= fitting:
        return even
    return -(-wanted // -(-wanted // fitting))
