"""Scalar expressions: shared by value, simplified as they are made, evaluated in order."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from mpq_jax.dynamics.straight_line import trigonometry
from mpq_jax.dynamics.straight_line.simplify import folded, simplified

_SYMMETRIC = {'add', 'mul', 'max', 'min', 'and', 'or', 'xor', 'eq', 'ne'}


class Node(NamedTuple):
    """An expression."""

    kind: str  # 'constant', 'input', 'scalar', 'call', 'loop', or a 'part' of these two
    inputs: tuple[int, ...]  # ids of other nodes, all smaller than its own
    dtype: Any
    payload: Any  # a NumPy scalar; (primitive, params); a function of scalars; an index


class Graph:
    """Nodes in the order in which they can be computed; a node's id is its place."""

    def __init__(self):
        self.nodes: list[Node] = []
        self._ids: dict[Any, int] = {}

    def constant(self, value, dtype) -> int:
        value = np.asarray(value, dtype)[()]
        return self._shared(('constant', value.tobytes(), np.dtype(dtype).str), Node(
            'constant', (), np.dtype(dtype), value
        ))  # fmt: skip

    def input(self, dtype) -> int:
        return self._new(Node('input', (), np.dtype(dtype), None))

    def value(self, node: int):
        """Of a constant; None for what is not known."""
        found = self.nodes[node]
        return found.payload if found.kind == 'constant' else None

    def make(self, primitive, inputs: Sequence[int], dtype, params: dict[str, Any]) -> int:
        """An elementwise primitive of scalars."""
        name, dtype = primitive.name, np.dtype(dtype)
        values = [self.value(i) for i in inputs]
        if all(value is not None for value in values):
            result = folded(name, values, dtype, params)
            if result is not None:
                return self.constant(result, dtype)
        found = simplified(self, name, tuple(inputs), values, dtype, params)
        if found is not None:
            return found
        key = sorted(inputs) if name in _SYMMETRIC else inputs
        described = str(params) if params else ''
        return self._shared(
            (name, tuple(key), dtype.str, described),
            Node('scalar', tuple(inputs), dtype, (primitive, params)),
        )

    def op(self, name: str, *inputs: int, dtype=None) -> int:
        """One of the primitives without parameters that matter, by name."""
        primitive, params = _NAMED[name]
        dtype = self.nodes[inputs[-1]].dtype if dtype is None else dtype
        return self.make(primitive, inputs, dtype, params)

    def convert(self, node: int, dtype) -> int:
        primitive, params = _NAMED['convert_element_type']
        return self.make(primitive, [node], dtype, params | {'new_dtype': np.dtype(dtype)})

    def sum(self, terms: Iterable[int], dtype) -> int:
        total = self.constant(0, dtype)
        for term in terms:
            total = self.op('add', total, term, dtype=dtype)
        return total

    def call(
        self,
        run: Callable,
        inputs: Sequence[int],
        types: Sequence[Sequence[Any]],
        loop: bool = False,
    ) -> list[np.ndarray]:
        """Ids of what a function of scalars gives: a sequence of scalars for each one of types.

        Args:
          run: called with the values of `inputs`.
          inputs: ids.
          types: of the scalars in each result.
          loop: whether it is one, for counting.
        """
        node = self._new(Node('loop' if loop else 'call', tuple(inputs), None, run))
        return [
            np.array(
                [self._new(Node('part', (node,), np.dtype(t), (k, i))) for i, t in enumerate(own)],
                np.int64,
            )
            for k, own in enumerate(types)
        ]

    def needed(self, outputs: Iterable[int]) -> list[int]:
        """The nodes that outputs depend on, in order."""
        found, open_ = set(), list(outputs)
        while open_:
            node = open_.pop()
            if node not in found:
                found.add(node)
                open_ += self.nodes[node].inputs
        return sorted(found)

    def evaluate(self, outputs: Sequence[int], inputs: dict[int, Any]) -> list[Any]:
        """The outputs, from values of the inputs by id; traced once by whoever calls it."""
        values = dict(inputs)
        for i in self.needed(outputs):
            node = self.nodes[i]
            given = [values[k] for k in node.inputs]
            if node.kind == 'constant':
                values[i] = jax.numpy.asarray(node.payload)
            elif node.kind == 'scalar':
                values[i] = _evaluated(node, given)
            elif node.kind in ('call', 'loop'):
                values[i] = node.payload(*given)
            elif node.kind == 'part':
                place, k = node.payload
                values[i] = given[0][place][k]
        return [values[i] for i in outputs]

    def _shared(self, key, node: Node) -> int:
        if key not in self._ids:
            self._ids[key] = self._new(node)
        return self._ids[key]

    def _new(self, node: Node) -> int:
        self.nodes.append(node)
        return len(self.nodes) - 1


def _evaluated(node: Node, given: list[Any]) -> Any:
    """A scalar primitive; sines and cosines on a CPU by what vectorises."""
    primitive, params = node.payload
    own = {'sin': trigonometry.sin, 'cos': trigonometry.cos}.get(primitive.name)
    if own is not None and node.dtype == np.float32 and jax.default_backend() == 'cpu':
        return own(*given)
    return primitive.bind(*given, **params)


def _named_primitives() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Primitives and their parameters, as a trace of this JAX has them."""
    x, b = jax.ShapeDtypeStruct((), np.float32), jax.ShapeDtypeStruct((), np.bool_)
    lax = jax.lax
    traced: list[tuple[Any, tuple]] = [
        (lambda x, y: (
            lax.add(x, y), lax.sub(x, y), lax.mul(x, y), lax.div(x, y), lax.neg(x), lax.sqrt(x),
            lax.max(x, y), lax.min(x, y), lax.lt(x, y), lax.gt(x, y), lax.eq(x, y),
        ), (x, x)),
        (lambda x: lax.convert_element_type(x, np.int32), (x,)),
        (lambda p, q: (
            lax.bitwise_and(p, q), lax.bitwise_or(p, q), lax.bitwise_not(p), lax.select_n(p, p, q)
        ), (b, b)),
    ]  # fmt: skip
    found = {}
    for fn, shapes in traced:
        for equation in jax.make_jaxpr(fn)(*shapes).jaxpr.eqns:
            found[equation.primitive.name] = equation.primitive, equation.params
    return found


_NAMED = _named_primitives()
