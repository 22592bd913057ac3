"""Loops that are not written out: their bodies taken apart, the carry a tuple of scalars."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr

from mpq_jax.dynamics.straight_line.graph import Graph

Arrays = list[np.ndarray]
# (graph, computation, ids of its arguments) -> ids of its results: `interpreter.interpret`.
Interpret = Callable[[Graph, ClosedJaxpr, Sequence[np.ndarray]], Arrays]


class Part(NamedTuple):
    """A condition or body, as a graph of its own."""

    graph: Graph
    carried: dict[int, int]  # place in the carry -> id of its input
    captured: dict[int, int]  # id outside -> id of its input
    outputs: list[int]


class Loop:
    """A loop of a graph: what its carry starts as, and its parts."""

    def __init__(self, graph: Graph, interpret: Interpret, start: Arrays):
        self.graph, self._interpret = graph, interpret
        self.start = _flat(start)
        self._shapes = [array.shape for array in start]

    def part(self, closed: ClosedJaxpr, consts: Arrays, fixed: set[int]) -> Part:
        """A computation on the carry.

        Args:
          closed: the computation.
          consts: ids outside, of the arguments before the carry.
          fixed: places in the carry that are what they are at the start.
        """
        part = Part(Graph(), {}, {}, [])
        arguments = [
            np.array([self._captured(part, i) for i in _flat([a])], np.int64).reshape(a.shape)
            for a in consts
        ]
        places = []
        for i, node in enumerate(self.start):
            if i in fixed:
                places.append(self._captured(part, node))
            else:
                part.carried[i] = part.graph.input(self.graph.nodes[node].dtype)
                places.append(part.carried[i])
        results = self._interpret(part.graph, closed, [*arguments, *shaped(places, self._shapes)])
        part.outputs.extend(_flat(results))
        return part

    def body(self, closed: ClosedJaxpr, consts: Arrays) -> tuple[Part, set[int]]:
        """What one turn does, and the places that none changes, which it need not carry."""
        fixed = set(range(len(self.start)))
        while True:
            body = self.part(closed, consts, fixed)
            changed = {i for i in fixed if body.outputs[i] != self._captured(body, self.start[i])}
            if not changed:
                return body, fixed
            fixed -= changed

    def emit(self, parts: Sequence[Part], run: Callable, carried: list[int]) -> list[int]:
        """Ids of the carry after the loop.

        Args:
          parts: whose captured values `run` needs.
          run: (a function that evaluates a part's outputs from a carry, the first carry) -> the
            last carry; tuples of scalars, of the places in `carried`.
          carried: places.
        """
        graph = self.graph
        captured = sorted({i for part in parts for i in part.captured})
        types = [graph.nodes[self.start[i]].dtype for i in carried]

        def call(*scalars):
            outside = dict(zip(captured, scalars[len(carried) :], strict=True))

            def evaluate(part: Part, wanted: Sequence[int], carry):
                inputs = {part.carried[i]: x for i, x in zip(carried, carry, strict=True)}
                inputs |= {inside: outside[i] for i, inside in part.captured.items()}
                return part.graph.evaluate(wanted, inputs)

            first = scalars[: len(carried)]
            return [run(evaluate, tuple(map(jax.numpy.asarray, first, types)))]

        scalars = [self.start[i] for i in carried] + captured
        (parts_of_call,) = graph.call(call, scalars, [types], loop=True)
        results = list(self.start)
        for i, node in zip(carried, parts_of_call.tolist(), strict=True):
            results[i] = node
        return results

    def _captured(self, part: Part, node: int) -> int:
        """What a value from outside is called in a part."""
        found = self.graph.nodes[node]
        if found.kind == 'constant':
            return part.graph.constant(found.payload, found.dtype)
        if node not in part.captured:
            part.captured[node] = part.graph.input(found.dtype)
        return part.captured[node]


def while_loop(
    graph: Graph, interpret: Interpret, arrays: Arrays, params: dict[str, Any], outputs
) -> Arrays:
    """Ids of the results of a `while`."""
    for_condition, for_body = params['cond_nconsts'], params['body_nconsts']
    condition_consts, body_consts = arrays[:for_condition], arrays[for_condition:][:for_body]
    loop = Loop(graph, interpret, arrays[for_condition + for_body :])
    body, fixed = loop.body(params['body_jaxpr'], body_consts)
    condition = loop.part(params['cond_jaxpr'], condition_consts, fixed)
    carried = sorted(body.carried)

    def run(evaluate, first):
        def goes_on(carry):
            return jax.numpy.asarray(evaluate(condition, condition.outputs, carry)[0])

        def turn(carry):
            return _typed(evaluate(body, [body.outputs[i] for i in carried], carry), carry)

        return jax.lax.while_loop(goes_on, turn, first)

    results = loop.emit([condition, body], run, carried)
    return shaped(results, [aval.shape for aval in outputs])


def counted_loop(
    graph: Graph, interpret: Interpret, arrays: Arrays, params: dict[str, Any], outputs
) -> Arrays | None:
    """Ids of the results of a `scan` without rows; None where it has some."""
    consts, closed, length = arrays[: params['num_consts']], params['jaxpr'], params['length']
    first = arrays[params['num_consts'] :]
    if not len(first) == len(outputs) == params['num_carry']:
        return None
    loop = Loop(graph, interpret, first)
    body, _ = loop.body(closed, consts)
    carried = sorted(body.carried)

    def run(evaluate, first):
        def turn(carry, _):
            after = evaluate(body, [body.outputs[i] for i in carried], carry)
            return _typed(after, carry), None

        return jax.lax.scan(turn, first, None, length)[0]

    return shaped(loop.emit([body], run, carried), [aval.shape for aval in outputs])


def _typed(values, likes) -> tuple[jax.Array, ...]:
    return tuple(jax.numpy.asarray(x, y.dtype) for x, y in zip(values, likes, strict=True))


def _flat(arrays: Sequence[np.ndarray]) -> list[int]:
    return [int(i) for array in arrays for i in array.reshape(-1)]


def shaped(ids: Sequence[int], shapes) -> Arrays:
    """Ids one after the other, as arrays."""
    arrays, rest = [], list(ids)
    for shape in shapes:
        size = int(np.prod(shape, dtype=int))
        arrays.append(np.array(rest[:size], np.int64).reshape(shape))
        rest = rest[size:]
    return arrays
