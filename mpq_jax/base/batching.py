"""Mapping a function over many items, no more at once than is good."""

from collections.abc import Callable

import jax


def map_in_chunks(fn: Callable, items, chunk: int = 0):
    """`vmap` over the leading axis of a pytree, in chunks one after the other.

    Args:
      fn: a function of one item.
      items: a pytree with a leading axis.
      chunk: items at once; 0 for all. One that divides the number of items compiles once.
    """
    count = jax.tree.leaves(items)[0].shape[0]
    if not chunk or chunk >= count:
        return jax.vmap(fn)(items)
    if count % chunk:
        return jax.lax.map(fn, items, batch_size=chunk)
    # As `lax.map` does it, but for arrays without elements as well.
    chunks = jax.tree.map(lambda x: x.reshape(count // chunk, chunk, *x.shape[1:]), items)
    results = jax.lax.map(jax.vmap(fn), chunks)
    return jax.tree.map(lambda x: x.reshape(count, *x.shape[2:]), results)
