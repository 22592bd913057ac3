"""A function of small arrays, written out number by number."""

import collections
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from mpq_jax.dynamics.straight_line.graph import Graph
from mpq_jax.dynamics.straight_line.interpreter import interpret, pack, unpack


@dataclasses.dataclass(frozen=True)
class StraightLine:
    """A function of the same arguments as the one it was made of, as scalar operations.

    Under `vmap` every scalar is one array over the batch: elementwise work alone, which XLA fuses.
    """

    run: Callable
    operations: int  # scalar ones outside of loops
    loops: int  # whose length is not known
    calls: int  # of primitives that were left as they are

    def __call__(self, *args):
        return self.run(*args)


class Traced(NamedTuple):
    """A function as JAX traced it."""

    closed: ClosedJaxpr
    shapes: list[jax.ShapeDtypeStruct]  # of the arguments' leaves
    output: Any  # shapes of what it returns


def trace(fn: Callable, *examples) -> Traced:
    """A function of arguments shaped like the examples."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), examples)
    closed, output = jax.make_jaxpr(fn, return_shape=True)(*shapes)
    return Traced(closed, jax.tree.leaves(shapes), output)


def straight_line(fn: Callable, *examples) -> StraightLine:
    """The same function for arguments shaped like the examples, of scalars.

    Args:
      fn: a pure function of pytrees of arrays of few elements; not vmapped, the result may be.
      *examples: arrays or `jax.ShapeDtypeStruct`s in the arguments' shapes and types.

    Raises:
      ValueError: `fn` has an effect, such as printing, which may not be moved.
    """
    return take_apart(trace(fn, *examples))


def take_apart(traced: Traced) -> StraightLine:
    """What was traced, of scalars. Raises ValueError as `straight_line`."""
    closed, shapes, output = traced
    if closed.effects:
        effects = ', '.join(sorted(map(str, closed.effects)))
        raise ValueError(f'it has effects, which may not be moved: {effects}')
    graph = Graph()
    inputs = [
        np.array([graph.input(s.dtype) for _ in range(int(np.prod(s.shape)))], np.int64).reshape(
            s.shape
        )
        for s in shapes
    ]
    results = interpret(graph, closed, inputs)
    wanted = [int(i) for array in results for i in array.reshape(-1)]
    used = [graph.nodes[i] for i in graph.needed(wanted)]
    output_leaves, output_structure = jax.tree.flatten(output)

    def run(*args):
        given = [
            jax.numpy.asarray(x, s.dtype)
            for x, s in zip(jax.tree.leaves(args), shapes, strict=True)
        ]
        values: dict[int, Any] = {}
        for array, ids in zip(given, inputs, strict=True):
            values |= zip(ids.reshape(-1).tolist(), unpack(array), strict=True)
        scalars = graph.evaluate(wanted, values)
        arrays = _put_together(scalars, results, output_leaves, inputs, given)
        return jax.tree.unflatten(output_structure, arrays)

    kinds = collections.Counter(node.kind for node in used)
    return StraightLine(run, kinds['scalar'], kinds['loop'], kinds['call'])


def _put_together(scalars, results: Sequence[np.ndarray], shapes, inputs, given) -> list[jax.Array]:
    """The results as arrays; one that is an argument unchanged is that argument."""
    arrays, rest = [], list(scalars)
    for ids, shape in zip(results, shapes, strict=True):
        parts, rest = rest[: ids.size], rest[ids.size :]
        same = [x for x, own in zip(given, inputs, strict=True) if np.array_equal(own, ids)]
        arrays.append(same[0] if same and ids.size else pack(parts, shape.shape, shape.dtype))
    return arrays
