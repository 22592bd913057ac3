"""What need not be computed: constants, and the rules of real arithmetic.

0 x is 0 even where x is not finite: whoever uses the result looks at the state itself for that.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mpq_jax.dynamics.straight_line.graph import Graph

_UNARY: dict[str, Callable] = {
    'neg': np.negative, 'abs': np.abs, 'sign': np.sign, 'floor': np.floor, 'ceil': np.ceil,
    'sqrt': np.sqrt, 'exp': np.exp, 'log': np.log, 'sin': np.sin, 'cos': np.cos, 'tan': np.tan,
    'tanh': np.tanh, 'not': np.logical_not, 'is_finite': np.isfinite, 'square': np.square,
    'copy': np.asarray, 'copy_p': np.asarray,
}  # fmt: skip
_BINARY: dict[str, Callable] = {
    'add': np.add, 'sub': np.subtract, 'mul': np.multiply, 'max': np.maximum, 'min': np.minimum,
    'eq': np.equal, 'ne': np.not_equal, 'lt': np.less, 'le': np.less_equal, 'gt': np.greater,
    'ge': np.greater_equal, 'pow': np.power, 'atan2': np.arctan2,
}  # fmt: skip
_LOGICAL: dict[str, tuple[Callable, Callable]] = {
    'and': (np.logical_and, np.bitwise_and),
    'or': (np.logical_or, np.bitwise_or),
    'xor': (np.logical_xor, np.bitwise_xor),
}


def folded(name: str, values: list[Any], dtype: np.dtype, params: dict[str, Any]):
    """The value of a primitive of constants; None where it is left to XLA."""
    with np.errstate(all='ignore'):
        if name == 'not' and dtype != np.bool_:
            return np.bitwise_not(values[0])
        if name in _UNARY:
            return _UNARY[name](values[0])
        if name in _BINARY:
            return _BINARY[name](*values)
        if name in _LOGICAL:
            return _LOGICAL[name][dtype != np.bool_](*values)
        if name in ('div', 'rem') and (np.issubdtype(dtype, np.floating) or values[1] != 0):
            rest = np.fmod(*values)
            if name == 'rem':
                return rest
            whole = np.issubdtype(dtype, np.integer)
            return (values[0] - rest) // values[1] if whole else np.divide(*values)
        if name == 'integer_pow':
            return values[0] ** dtype.type(params['y'])
        if name == 'convert_element_type' and not _truncates(values[0], dtype):
            return values[0].astype(dtype)
        if name == 'select_n':
            return values[1 + int(values[0])]
        if name == 'clamp':
            return np.minimum(np.maximum(values[1], values[0]), values[2])
    return None


def _truncates(value, dtype: np.dtype) -> bool:
    """Whether a conversion might be one that NumPy does in another way than XLA."""
    return np.issubdtype(dtype, np.integer) and not np.isfinite(value)


def simplified(
    graph: 'Graph', name: str, inputs: tuple[int, ...], values: list[Any], dtype: np.dtype, params
) -> int | None:
    """An id that is equal to a primitive of ids, where one is known; None otherwise."""
    rule = _RULES.get(name)
    return None if rule is None else rule(graph, inputs, values, dtype, params)


def _is(value, number) -> bool:
    return value is not None and value == number


def _negated(graph: 'Graph', node: int) -> int | None:
    """x, of a node -x."""
    found = graph.nodes[node]
    return found.inputs[0] if found.kind == 'scalar' and found.payload[0].name == 'neg' else None


def _add(graph, inputs, values, dtype, params):
    for one, other in (inputs, inputs[::-1]):
        if _is(graph.value(one), 0):
            return other
        if (negated := _negated(graph, one)) is not None:
            return graph.op('sub', other, negated, dtype=dtype)
    return None


def _sub(graph, inputs, values, dtype, params):
    a, b = inputs
    if a == b:
        return graph.constant(0, dtype)
    if _is(values[1], 0):
        return a
    if _is(values[0], 0):
        return graph.op('neg', b)
    if (negated := _negated(graph, b)) is not None:
        return graph.op('add', a, negated, dtype=dtype)
    return None


def _mul(graph, inputs, values, dtype, params):
    for one, other in (inputs, inputs[::-1]):
        value = graph.value(one)
        if _is(value, 0):
            return graph.constant(0, dtype)
        if _is(value, 1):
            return other
        if _is(value, -1):
            return graph.op('neg', other)
        if (negated := _negated(graph, one)) is not None:
            return graph.op('neg', graph.op('mul', negated, other, dtype=dtype))
    return None


def _div(graph, inputs, values, dtype, params):
    if not np.issubdtype(dtype, np.floating):
        return inputs[0] if _is(values[1], 1) else None
    if _is(values[0], 0):
        return graph.constant(0, dtype)
    if values[1] is not None and values[1] != 0:
        inverse = graph.constant(1 / np.float64(values[1]), dtype)
        return graph.op('mul', inputs[0], inverse, dtype=dtype)
    return None


def _neg(graph, inputs, values, dtype, params):
    return _negated(graph, inputs[0])


def _power(graph, inputs, values, dtype, params):
    if params['y'] == 1:
        return inputs[0]
    return graph.op('mul', inputs[0], inputs[0], dtype=dtype) if params['y'] == 2 else None


def _square(graph, inputs, values, dtype, params):
    return graph.op('mul', inputs[0], inputs[0], dtype=dtype)


def _select(graph, inputs, values, dtype, params):
    if values[0] is not None:
        return inputs[1 + int(values[0])]
    return inputs[1] if len(set(inputs[1:])) == 1 else None


def _convert(graph, inputs, values, dtype, params):
    return inputs[0] if graph.nodes[inputs[0]].dtype == dtype else None


def _same(graph, inputs, values, dtype, params):
    return inputs[0] if inputs[0] == inputs[-1] else None


def _and(graph, inputs, values, dtype, params):
    return _logical(graph, inputs, dtype, neutral=True)


def _or(graph, inputs, values, dtype, params):
    return _logical(graph, inputs, dtype, neutral=False)


def _logical(graph, inputs, dtype, neutral: bool):
    if dtype != np.bool_:
        return None
    if inputs[0] == inputs[1]:
        return inputs[0]
    for one, other in (inputs, inputs[::-1]):
        value = graph.value(one)
        if value is not None:
            return other if value == neutral else one
    return None


_RULES: dict[str, Callable] = {
    'add': _add, 'sub': _sub, 'mul': _mul, 'div': _div, 'neg': _neg, 'integer_pow': _power,
    'square': _square, 'select_n': _select, 'convert_element_type': _convert, 'max': _same,
    'min': _same, 'copy': _same, 'copy_p': _same, 'and': _and, 'or': _or,
}  # fmt: skip
