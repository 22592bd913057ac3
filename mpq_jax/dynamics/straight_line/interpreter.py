"""Taking a traced computation apart: every array becomes an array of scalar expressions."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from mpq_jax.dynamics.ending_loops import alone
from mpq_jax.dynamics.straight_line import arithmetic, loops, structure
from mpq_jax.dynamics.straight_line.graph import Graph
from mpq_jax.dynamics.straight_line.structure import Arrays, constants

ELEMENTWISE = {
    'abs', 'acos', 'acosh', 'add', 'and', 'asin', 'asinh', 'atan', 'atan2', 'atanh', 'cbrt', 'ceil',
    'clamp', 'convert_element_type', 'copy', 'copy_p', 'cos', 'cosh', 'div', 'eq', 'erf', 'exp',
    'exp2', 'expm1', 'floor', 'ge', 'gt', 'integer_pow', 'is_finite', 'le', 'log', 'log1p',
    'logistic', 'lt', 'max', 'min', 'mul', 'ne', 'neg', 'nextafter', 'not', 'or', 'pow', 'rem',
    'round', 'rsqrt', 'select_n', 'sign', 'sin', 'sinh', 'sqrt', 'square', 'sub', 'tan', 'tanh',
    'xor',
}  # fmt: skip
_INLINED = ('jit', 'pjit', 'closed_call', 'core_call', 'custom_jvp_call', 'custom_vjp_call')
MOST_TURNS = 4  # of a loop of known length that is written out


def interpret(graph: Graph, closed: ClosedJaxpr, arrays: Sequence[np.ndarray]) -> Arrays:
    """Ids of a computation's results, from ids of its arguments; it has no effects.

    A function's own rule for its derivative is not kept: that of what it computes serves.
    """
    return _jaxpr(graph, closed.jaxpr, closed.consts, arrays)


def _jaxpr(graph: Graph, jaxpr: Jaxpr, consts, arrays: Sequence[np.ndarray]) -> Arrays:
    known: dict[Any, np.ndarray] = dict(zip(jaxpr.invars, arrays, strict=True))
    for variable, value in zip(jaxpr.constvars, consts, strict=True):
        known[variable] = constants(graph, np.asarray(value), aval_of(variable).dtype)

    def read(atom) -> np.ndarray:
        if isinstance(atom, Literal):
            return constants(graph, np.asarray(atom.val), aval_of(atom).dtype)
        return known[atom]

    for equation in jaxpr.eqns:
        given = [read(atom) for atom in equation.invars]
        results = _equation(graph, jaxpr, equation, given)
        known |= zip(equation.outvars, results, strict=True)
    return [read(atom) for atom in jaxpr.outvars]


def _equation(graph: Graph, jaxpr: Jaxpr, equation: JaxprEqn, arrays: Arrays) -> Arrays:
    name, params = equation.primitive.name, equation.params
    outputs = [aval_of(variable) for variable in equation.outvars]
    if name in ELEMENTWISE:
        return [_elementwise(graph, equation, arrays)]
    if name in _INLINED:
        body = params.get('jaxpr') or params.get('call_jaxpr')
        if isinstance(body, ClosedJaxpr):
            return interpret(graph, body, arrays)
    rule: Callable | None = _RULES.get(name)
    results = rule(graph, arrays, params, outputs) if rule is not None else None
    return _as_it_is(graph, jaxpr, equation, arrays) if results is None else results


def _elementwise(graph: Graph, equation: JaxprEqn, arrays: Arrays) -> np.ndarray:
    aval = aval_of(equation.outvars[0])
    shape, dtype = aval.shape, aval.dtype
    flat = [np.broadcast_to(array, shape).reshape(-1).tolist() for array in arrays]
    made = [
        graph.make(equation.primitive, ids, dtype, equation.params)
        for ids in zip(*flat, strict=True)
    ]
    return np.array(made, np.int64).reshape(shape)


def _as_it_is(graph: Graph, surrounding: Jaxpr, equation: JaxprEqn, arrays: Arrays) -> Arrays:
    """A primitive on arrays that are put together for it, and taken apart after it."""
    shapes = [array.shape for array in arrays]
    sizes = [array.size for array in arrays]
    types = [aval_of(atom).dtype for atom in equation.invars]
    body = alone(surrounding, equation)
    outputs = [aval_of(variable) for variable in equation.outvars]
    known = [structure.values_of(graph, array) for array in arrays]
    if all(value is not None for value in known):
        results = body(*(np.asarray(x, t).reshape(s) for x, t, s in zip(
            known, types, shapes, strict=True
        )))  # fmt: skip
        return [constants(graph, np.asarray(x), x.dtype) for x in results]

    def run(*scalars):
        rest, packed = list(scalars), []
        for shape, size, dtype in zip(shapes, sizes, types, strict=True):
            parts, rest = rest[:size], rest[size:]
            packed.append(pack(parts, shape, dtype))
        return [unpack(result) for result in body(*packed)]

    scalars = [[aval.dtype] * int(np.prod(aval.shape, dtype=int)) for aval in outputs]
    flat = graph.call(run, [int(i) for array in arrays for i in array.reshape(-1)], scalars)
    return [ids.reshape(aval.shape) for ids, aval in zip(flat, outputs, strict=True)]


def aval_of(atom) -> Any:
    """Shape and type of a variable or literal."""
    return atom.aval


def pack(parts: Sequence[Any], shape, dtype) -> jax.Array:
    """Scalars as one array."""
    if not parts:
        return jax.numpy.zeros(shape, dtype)
    return jax.numpy.stack([jax.numpy.asarray(x, dtype) for x in parts]).reshape(shape)


def unpack(array: jax.Array) -> list[jax.Array]:
    """The scalars of an array."""
    flat = array.reshape(-1)
    return [flat[i] for i in range(flat.shape[0])] if array.shape else [array]


def _conditional(graph: Graph, arrays: Arrays, params: dict[str, Any], outputs) -> Arrays:
    """All branches, one of which is chosen: as a batch would have it anyway."""
    index, *operands = arrays
    branches, which = params['branches'], int(index[()])
    if (known := graph.value(which)) is not None:
        place = int(np.clip(int(known), 0, len(branches) - 1))
        return interpret(graph, branches[place], operands)
    kind = graph.nodes[which].dtype
    results = interpret(graph, branches[-1], operands)
    for place in reversed(range(len(branches) - 1)):
        others = interpret(graph, branches[place], operands)
        if kind == np.bool_:
            here = graph.op('not', which)
        else:
            here = graph.op('lt', which, graph.constant(place + 1, kind), dtype=np.bool_)
        results = [
            structure.choose(graph, here, yes, no, aval.dtype)
            for yes, no, aval in zip(others, results, outputs, strict=True)
        ]
    return results


def _scan(graph: Graph, arrays: Arrays, params: dict[str, Any], outputs) -> Arrays | None:
    """A short loop, written out."""
    if params['length'] > MOST_TURNS:
        return loops.counted_loop(graph, interpret, arrays, params, outputs)
    consts, carried = params['num_consts'], params['num_carry']
    fixed, carry = arrays[:consts], arrays[consts : consts + carried]
    rows = arrays[consts + carried :]
    turns = range(params['length'])
    collected: list[Arrays] = []
    for turn in reversed(turns) if params['reverse'] else turns:
        given = [*fixed, *carry, *(row[turn] for row in rows)]
        results = interpret(graph, params['jaxpr'], given)
        carry = results[:carried]
        collected.append(results[carried:])
    if params['reverse']:
        collected.reverse()
    stacked = [np.stack(each) for each in zip(*collected, strict=True)]
    return [*carry, *stacked]


def _while(graph: Graph, arrays: Arrays, params: dict[str, Any], outputs) -> Arrays | None:
    return loops.while_loop(graph, interpret, arrays, params, outputs)


_RULES: dict[str, Callable[..., Arrays | None]] = {
    **structure.RULES,
    **arithmetic.RULES,
    'cond': _conditional,
    'scan': _scan,
    'while': _while,
}
