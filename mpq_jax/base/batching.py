"""Mapping a function over many items, no more at once than is good."""

from collections.abc import Callable

import jax
import numpy as np


def map_in_chunks(fn: Callable, items, chunk: int = 0):
    """`vmap` over the leading axis of a pytree, in chunks one after the other.

    Args:
      fn: a function of one item.
      items: a pytree with a leading axis.
      chunk: items at once; 0 for all. The last chunk is filled with its last item.
    """
    count = jax.tree.leaves(items)[0].shape[0]
    if not chunk or chunk >= count:
        return jax.vmap(fn)(items)
    number = -(-count // chunk)
    if count % chunk:
        rows = np.minimum(np.arange(number * chunk), count - 1)
        items = jax.tree.map(lambda x: x[rows], items)
    # As `lax.map` does it with `batch_size`, but for arrays without elements as well.
    chunks = jax.tree.map(lambda x: x.reshape(number, chunk, *x.shape[1:]), items)
    results = jax.lax.map(jax.vmap(fn), chunks)
    return jax.tree.map(lambda x: x.reshape(number * chunk, *x.shape[2:])[:count], results)
