"""Primitives that only move numbers about, on arrays of ids. None: they cannot be taken apart."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mpq_jax.dynamics.straight_line.graph import Graph

Arrays = list[np.ndarray]


def _broadcast(graph: Graph, arrays: Arrays, params: dict[str, Any], outputs) -> Arrays:
    shape, places = params['shape'], params['broadcast_dimensions']
    expanded = np.ones(len(shape), int)
    for i, place in enumerate(places):
        expanded[place] = arrays[0].shape[i]
    return [np.broadcast_to(arrays[0].reshape(expanded), shape)]


def _reshape(graph, arrays, params, outputs):
    return [arrays[0].reshape(outputs[0].shape)] if params.get('dimensions') is None else None


def _squeeze(graph, arrays, params, outputs):
    return [arrays[0].reshape(outputs[0].shape)]


def _transpose(graph, arrays, params, outputs):
    return [arrays[0].transpose(params['permutation'])]


def _reverse(graph, arrays, params, outputs):
    return [np.flip(arrays[0], params['dimensions'])]


def _concatenate(graph, arrays, params, outputs):
    return [np.concatenate(arrays, params['dimension'])]


def _stack(graph, arrays, params, outputs):
    return [np.stack(arrays, params.get('axis', params.get('dimension', 0)))]


def _tile(graph, arrays, params, outputs):
    return [np.tile(arrays[0], params['reps'])]


def _slice(graph, arrays, params, outputs):
    steps = params['strides'] or (None,) * arrays[0].ndim
    ends = zip(params['start_indices'], params['limit_indices'], steps, strict=True)
    return [arrays[0][tuple(slice(*end) for end in ends)]]


def _split(graph, arrays, params, outputs):
    places = np.cumsum(params['sizes'])[:-1]
    return np.split(arrays[0], places, params['axis'])


def _pad(graph, arrays, params, outputs):
    operand, filling = arrays
    shape = outputs[0].shape
    if any(low < 0 or high < 0 for low, high, _ in params['padding_config']):
        return None
    padded = np.full(shape, filling[()])
    inner = tuple(
        slice(low, size - high if high else None, interior + 1)
        for (low, high, interior), size in zip(params['padding_config'], shape, strict=True)
    )
    padded[inner] = operand
    return [padded]


def _iota(graph, arrays, params, outputs):
    along = np.arange(params['shape'][params['dimension']])
    moved = along.reshape([-1 if i == params['dimension'] else 1 for i in range(outputs[0].ndim)])
    return [constants(graph, np.broadcast_to(moved, params['shape']), params['dtype'])]


def _dynamic_slice(graph, arrays, params, outputs):
    operand, *starts = arrays
    sizes = params['slice_sizes']
    at = [graph.value(start[()]) for start in starts]
    unknown = [i for i, place in enumerate(at) if place is None and sizes[i] < operand.shape[i]]
    if len(unknown) > 1:
        return None
    first = [0 if p is None else int(np.clip(p, 0, n - s)) for p, n, s in zip(
        at, operand.shape, sizes, strict=True
    )]  # fmt: skip
    if not unknown:
        return [operand[_window(first, sizes)]]
    axis = unknown[0]  # which of the places it is, is chosen as they are compared
    result, index = None, starts[axis][()]
    for place in reversed(range(operand.shape[axis] - sizes[axis] + 1)):
        first[axis] = place
        here = operand[_window(first, sizes)]
        if result is None:
            result = here
            continue
        kind = graph.nodes[index].dtype
        before = graph.op('lt', index, graph.constant(place + 1, kind), dtype=np.bool_)
        result = choose(graph, before, here, result, outputs[0].dtype)
    return [result]


def _dynamic_update_slice(graph, arrays, params, outputs):
    operand, update, *starts = arrays
    at = [graph.value(start[()]) for start in starts]
    if any(place is None for place in at):
        return None
    first = [
        int(np.clip(p, 0, n - s)) for p, n, s in zip(at, operand.shape, update.shape, strict=True)
    ]
    result = operand.copy()
    result[_window(first, update.shape)] = update
    return [result]


def _gather(graph, arrays, params, outputs):
    operand, indices = arrays
    known = values_of(graph, indices)
    numbers, sizes = params['dimension_numbers'], params['slice_sizes']
    if known is None:
        return None
    kept = [i for i in range(outputs[0].ndim) if i not in numbers.offset_dims]
    result = np.full(outputs[0].shape, -1)
    dropped = set(numbers.collapsed_slice_dims) | set(numbers.operand_batching_dims)
    for batch, first, inside in _windows(
        known, operand.shape, sizes, numbers.start_index_map, numbers.operand_batching_dims,
        numbers.start_indices_batching_dims, params['mode'],
    ):  # fmt: skip
        if not inside:
            return None  # filled: nothing that a model's structure asks for
        window = operand[_window(first, sizes)]
        window = window.reshape([s for i, s in enumerate(sizes) if i not in dropped])
        place: list[Any] = [slice(None)] * outputs[0].ndim
        for axis, i in zip(kept, batch, strict=True):
            place[axis] = i
        result[tuple(place)] = window
    return [result]


def _scatter(combine: str | None) -> Callable:
    def rule(graph, arrays, params, outputs):
        operand, indices, updates = arrays
        known = values_of(graph, indices)
        if known is None:
            return None
        numbers, result = params['dimension_numbers'], operand.copy()
        spread = [i for i in range(updates.ndim) if i not in numbers.update_window_dims]
        gone = set(numbers.inserted_window_dims) | set(numbers.operand_batching_dims)
        window = iter([updates.shape[i] for i in numbers.update_window_dims])
        sizes = [1 if i in gone else next(window) for i in range(operand.ndim)]
        for batch, first, inside in _windows(
            known, operand.shape, sizes, numbers.scatter_dims_to_operand_dims,
            numbers.operand_batching_dims, numbers.scatter_indices_batching_dims, params['mode'],
        ):  # fmt: skip
            if not inside:
                continue
            place: list[Any] = [slice(None)] * updates.ndim
            for axis, i in zip(spread, batch, strict=True):
                place[axis] = i
            new, where = updates[tuple(place)].reshape(sizes), _window(first, sizes)
            if combine is not None:
                new = elementwise(graph, combine, [result[where], new], outputs[0].dtype)
            result[where] = new
        return [result]

    return rule


def _windows(
    indices: np.ndarray, shape, sizes, index_map, batching, indices_batching, mode
) -> Iterator[tuple[tuple[int, ...], list[int], bool]]:
    """Of every index: its place in the batch, where its window starts, whether that is inside."""
    clips = str(mode).endswith('CLIP')
    for batch in np.ndindex(*indices.shape[:-1]):
        first = [0] * len(shape)
        for k, axis in enumerate(index_map):
            first[axis] = int(indices[(*batch, k)])
        for axis, other in zip(batching, indices_batching, strict=True):
            first[axis] = batch[other]
        last = [n - s for n, s in zip(shape, sizes, strict=True)]
        if clips:
            first = [min(max(f, 0), end) for f, end in zip(first, last, strict=True)]
        yield batch, first, all(0 <= f <= end for f, end in zip(first, last, strict=True))


def _window(first, sizes) -> tuple[slice, ...]:
    return tuple(slice(f, f + s) for f, s in zip(first, sizes, strict=True))


def constants(graph: Graph, values: np.ndarray, dtype) -> np.ndarray:
    """Ids of known numbers."""
    flat = [graph.constant(value, dtype) for value in np.asarray(values).reshape(-1)]
    return np.array(flat, np.int64).reshape(np.shape(values))


def values_of(graph: Graph, ids: np.ndarray) -> np.ndarray | None:
    """The numbers behind ids, where all are known."""
    values = [graph.value(i) for i in ids.reshape(-1)]
    if any(value is None for value in values):
        return None
    return np.array(values).reshape(ids.shape)


def elementwise(graph: Graph, name: str, arrays: Arrays, dtype) -> np.ndarray:
    """A named primitive of arrays of ids, broadcast against each other."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    rows = [np.broadcast_to(array, shape).reshape(-1).tolist() for array in arrays]
    flat = [graph.op(name, *ids, dtype=dtype) for ids in zip(*rows, strict=True)]
    return np.array(flat, np.int64).reshape(shape)


def choose(graph: Graph, condition: int, yes: np.ndarray, no: np.ndarray, dtype) -> np.ndarray:
    """Each element of one array or of the other."""
    flat = [
        graph.op('select_n', condition, b, a, dtype=dtype)
        for a, b in zip(yes.reshape(-1), no.reshape(-1), strict=True)
    ]
    return np.array(flat, np.int64).reshape(yes.shape)


RULES: dict[str, Callable[..., Arrays | None]] = {
    'broadcast_in_dim': _broadcast, 'reshape': _reshape, 'squeeze': _squeeze,
    'transpose': _transpose, 'rev': _reverse, 'concatenate': _concatenate, 'stack': _stack,
    'tile': _tile, 'slice': _slice, 'split': _split, 'pad': _pad, 'iota': _iota,
    'dynamic_slice': _dynamic_slice, 'dynamic_update_slice': _dynamic_update_slice,
    'gather': _gather, 'scatter': _scatter(None), 'scatter-add': _scatter('add'),
    'scatter-mul': _scatter('mul'), 'scatter-min': _scatter('min'), 'scatter-max': _scatter('max'),
    'optimization_barrier': lambda graph, arrays, params, outputs: arrays,
}  # fmt: skip
