"""Primitives that reduce, multiply and solve, written out number by number."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from mpq_jax.dynamics.straight_line.graph import Graph
from mpq_jax.dynamics.straight_line.structure import Arrays

# Written out, a factorisation of n rows takes n^3 / 6 products.
MOST_ROWS = 24


def _reduce(combine: str) -> Callable:
    def rule(graph: Graph, arrays: Arrays, params: dict[str, Any], outputs) -> Arrays | None:
        dtype = outputs[0].dtype
        op = functools.partial(graph.op, combine, dtype=dtype)
        rows = _rows(arrays[0], params['axes'])
        if not rows.shape[1]:
            return None
        reduced = [functools.reduce(op, row) for row in rows.tolist()]
        return [np.array(reduced, np.int64).reshape(outputs[0].shape)]

    return rule


def _extreme_place(better: str) -> Callable:
    """argmax and argmin: the first place of the best."""

    def rule(graph, arrays, params, outputs):
        dtype = params['index_dtype']
        kind = graph.nodes[arrays[0].flat[0]].dtype
        found = []
        for row in _rows(arrays[0], params['axes']).tolist():
            best, place = row[0], graph.constant(0, dtype)
            for i, value in enumerate(row[1:], 1):
                wins = graph.op(better, value, best, dtype=np.bool_)
                best = graph.op('select_n', wins, best, value, dtype=kind)
                here = graph.constant(i, dtype)
                place = graph.op('select_n', wins, place, here, dtype=np.dtype(dtype))
            found.append(place)
        return [np.array(found, np.int64).reshape(outputs[0].shape)]

    return rule


def _cumulative(combine: str) -> Callable:
    def rule(graph, arrays, params, outputs):
        rows = np.moveaxis(arrays[0], params['axis'], 0)
        rows = (rows[::-1] if params['reverse'] else rows).copy()
        for i in range(1, len(rows)):
            pairs = zip(rows[i - 1].reshape(-1), rows[i].reshape(-1), strict=True)
            after = [graph.op(combine, a, b, dtype=outputs[0].dtype) for a, b in pairs]
            rows[i] = np.array(after, np.int64).reshape(rows[i].shape)
        rows = rows[::-1] if params['reverse'] else rows
        return [np.moveaxis(rows, 0, params['axis'])]

    return rule


def _dot(graph, arrays, params, outputs):
    (left_sum, right_sum), (left_batch, right_batch) = params['dimension_numbers']
    left, right = (
        _as_matrices(array, summed, batch)
        for array, summed, batch in zip(
            arrays, (left_sum, right_sum), (left_batch, right_batch), strict=True
        )
    )
    dtype = outputs[0].dtype
    result = [
        graph.sum(_products(graph, row, column, dtype), dtype)
        for lefts, rights in zip(left.tolist(), right.tolist(), strict=True)
        for row in lefts
        for column in rights
    ]
    return [np.array(result, np.int64).reshape(outputs[0].shape)]


def _cholesky(graph, arrays, params, outputs):
    if arrays[0].shape[-1] > MOST_ROWS:
        return None
    dtype = outputs[0].dtype
    zero = graph.constant(0, dtype)
    results = []
    for matrix in _matrices(arrays[0]):
        size = len(matrix)
        lower = np.full((size, size), zero)
        for j in range(size):
            for i in range(j, size):
                known = graph.sum(_products(graph, lower[i, :j], lower[j, :j], dtype), dtype)
                left = graph.op('sub', matrix[i, j], known, dtype=dtype)
                if i == j:
                    lower[i, j] = graph.op('sqrt', left)
                else:
                    lower[i, j] = graph.op('div', left, lower[j, j], dtype=dtype)
        results.append(lower)
    return [np.array(results, np.int64).reshape(outputs[0].shape)]


def _triangular_solve(graph, arrays, params, outputs):
    if arrays[0].shape[-1] > MOST_ROWS:
        return None
    dtype, left = outputs[0].dtype, params['left_side']
    results = []
    for matrix, given in zip(_matrices(arrays[0]), _matrices(arrays[1]), strict=True):
        # Solved for the columns of A X = B; X A = B is A' X' = B'.
        turned = params['transpose_a'] is left
        a, b = (matrix.T if turned else matrix), (given if left else given.T)
        lower = params['lower'] is not turned
        order = range(len(a)) if lower else range(len(a) - 1, -1, -1)
        solved = np.zeros_like(b)
        done: list[int] = []
        for i in order:
            for k in range(b.shape[1]):
                known = graph.sum(_products(graph, a[i, done], solved[done, k], dtype), dtype)
                value = graph.op('sub', b[i, k], known, dtype=dtype)
                if not params['unit_diagonal']:
                    value = graph.op('div', value, a[i, i], dtype=dtype)
                solved[i, k] = value
            done.append(i)
        results.append(solved if left else solved.T)
    return [np.array(results, np.int64).reshape(outputs[0].shape)]


def _products(graph: Graph, ones, others, dtype) -> list[int]:
    pairs = zip(ones, others, strict=True)
    return [
        graph.op('mul', graph.convert(a, dtype), graph.convert(b, dtype), dtype=dtype)
        for a, b in pairs
    ]


def _rows(array: np.ndarray, axes) -> np.ndarray:
    """Each group of elements that is reduced to one, as a row."""
    kept = [i for i in range(array.ndim) if i not in axes]
    moved = array.transpose([*kept, *axes])
    return moved.reshape(int(np.prod([array.shape[i] for i in kept], dtype=int)), -1)


def _matrices(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1, *array.shape[-2:])


def _as_matrices(array: np.ndarray, summed, batch) -> np.ndarray:
    free = [i for i in range(array.ndim) if i not in summed and i not in batch]
    sizes = [
        int(np.prod([array.shape[i] for i in axes], dtype=int)) for axes in (batch, free, summed)
    ]
    return array.transpose([*batch, *free, *summed]).reshape(sizes)


RULES: dict[str, Callable[..., Arrays | None]] = {
    'reduce_sum': _reduce('add'), 'reduce_prod': _reduce('mul'), 'reduce_max': _reduce('max'),
    'reduce_min': _reduce('min'), 'reduce_and': _reduce('and'), 'reduce_or': _reduce('or'),
    'argmax': _extreme_place('gt'), 'argmin': _extreme_place('lt'),
    'cumsum': _cumulative('add'), 'cumprod': _cumulative('mul'), 'cummax': _cumulative('max'),
    'cummin': _cumulative('min'), 'dot_general': _dot, 'cholesky': _cholesky,
    'triangular_solve': _triangular_solve,
}  # fmt: skip
