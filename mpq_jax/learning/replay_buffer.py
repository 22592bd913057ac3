"""A ring buffer of transitions, as a pytree of fixed size."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.dynamics import State


class Transition(NamedTuple):
    """One real control step; a batch of them has leading axes."""

    state: State  # the simulator's state, so that a planner can start there
    observation: jax.Array  # [no]
    action: jax.Array  # [nu], as executed: clipped, in [-1, 1]
    cost: jax.Array
    next_state: State
    next_observation: jax.Array  # [no]
    terminated: jax.Array  # bool; a time limit is no termination
    next_plan: Any = ()  # the agent's shifted plan at s'; () where it is not kept
    # Of having ended in s', which counts where that terminated; () for tasks that never do.
    next_terminal_cost: Any = ()


class ReplayBuffer(NamedTuple):
    storage: Any  # a Transition, or another pytree; leading axis: capacity
    position: jax.Array  # int32, where the next transition goes
    size: jax.Array  # int32, how many are stored


def empty(example: Any, capacity: int) -> ReplayBuffer:
    """A buffer for what is shaped like an example, or like its `jax.eval_shape`."""
    storage = jax.tree.map(lambda x: jnp.zeros((capacity, *x.shape), x.dtype), example)
    return ReplayBuffer(storage, jnp.int32(0), jnp.int32(0))


def capacity_of(buffer: ReplayBuffer) -> int:
    return jax.tree.leaves(buffer.storage)[0].shape[0]


def add(buffer: ReplayBuffer, transitions: Any, valid: jax.Array) -> ReplayBuffer:
    """Writes the transitions `[T]` whose `valid` is set, in order, over the oldest ones.

    T must not exceed the capacity: a write would then meet itself.
    """
    capacity = capacity_of(buffer)
    order = jnp.cumsum(valid) - 1
    places = jnp.where(valid, (buffer.position + order) % capacity, capacity)
    storage = jax.tree.map(
        lambda old, new: old.at[places].set(new, mode='drop'), buffer.storage, transitions
    )
    count = jnp.sum(valid, dtype=jnp.int32)
    return ReplayBuffer(
        storage,
        (buffer.position + count) % capacity,
        jnp.minimum(buffer.size + count, capacity),
    )


def sample(buffer: ReplayBuffer, key: jax.Array, count: int) -> Any:
    """`count` transitions, uniform with replacement; zeros when the buffer is empty."""
    places = jax.random.randint(key, (count,), 0, jnp.maximum(buffer.size, 1))
    return jax.tree.map(lambda leaf: leaf[places], buffer.storage)


def latest(buffer: ReplayBuffer, count: int) -> Any:
    """The last `count` transitions that were added, oldest first; no more than are stored."""
    capacity = capacity_of(buffer)
    places = (buffer.position - count + jnp.arange(count)) % capacity
    return jax.tree.map(lambda leaf: leaf[places], buffer.storage)


def latest_of_first(buffers: Any, count: int) -> Any:
    """The same of the first of several `[B]`; None of none, or where they are no buffers."""
    if not (count and isinstance(buffers, ReplayBuffer)):
        return None
    return latest(jax.tree.map(lambda x: x[0], buffers), count)
