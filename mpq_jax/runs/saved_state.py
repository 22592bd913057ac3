"""How a run's state lies in a checkpoint: leaves by path, of the buffer the filled part."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

_STORAGE = 'buffer.storage.'  # leaves [B, capacity, ...]
_BEST_RETURN = 'best_return'  # [B], until the returns of each validation episode were kept


def is_storage(name: str) -> bool:
    """Whether a leaf of that name has the buffer's capacity as its second axis."""
    return name.startswith(_STORAGE)


def filled_part(buffer: Any) -> int:
    """How many transitions to write a member: a power of two, so that few programs compile."""
    if buffer == ():
        return 0
    most = int(np.asarray(buffer.size).max())
    return min(1 << max(most - 1, 0).bit_length(), buffer.storage.cost.shape[1])


def saved_leaves(state: Any) -> dict[str, jax.Array]:
    """What Orbax can hold: leaves by path, typed keys as numbers, empty arrays left out."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    plain = {_name(path): jax.random.key_data(x) if _is_key(x) else x for path, x in leaves}
    return {name: leaf for name, leaf in plain.items() if leaf.size}


def saved_shape(name: str, leaf: Any, filled: int) -> tuple[int, ...]:
    """Of a leaf `[S, ...]` with so much of the buffer."""
    if is_storage(name):
        return (leaf.shape[0], filled, *leaf.shape[2:])
    return leaf.shape


def from_saved(saved: dict[str, jax.Array], template: Any) -> Any:
    """The state of `saved_leaves`, with the room of the template's buffer."""

    def leaf(path, like):
        if not like.size:
            return jnp.zeros(like.shape, like.dtype)
        value = saved[_name(path)]
        if is_storage(_name(path)):
            return jnp.zeros(like.shape, like.dtype).at[:, : value.shape[1]].set(value)
        return jax.random.wrap_key_data(value) if _is_key(like) else value

    return jax.tree_util.tree_map_with_path(leaf, template)


def leaves_in(directory: Path) -> dict[str, Any]:
    """Name -> metadata of what was written there."""
    with ocp.StandardCheckpointer() as reader:
        return dict(reader.metadata(directory.absolute()).item_metadata.tree)


def with_older(shapes: dict[str, Any], there: dict[str, Any]) -> dict[str, Any]:
    """The shapes `[S, ...]` to read where an older version wrote what is `there`."""
    if _BEST_RETURN not in there:
        return shapes
    kept = {name: shape for name, shape in shapes.items() if name != 'best_returns'}
    some = next(iter(shapes.values()))
    members = there[_BEST_RETURN].shape
    return kept | {_BEST_RETURN: jax.ShapeDtypeStruct(members, jnp.float32, sharding=some.sharding)}


def from_older(saved: dict[str, jax.Array], shapes: dict[str, Any]) -> dict[str, jax.Array]:
    """What was read as `with_older` has it, as this version calls it.

    Of the best validation the mean return was kept: it counts as that of each of its episodes.
    """
    if _BEST_RETURN not in saved or 'best_returns' not in shapes:
        return saved
    returns = jnp.broadcast_to(saved[_BEST_RETURN][:, None], shapes['best_returns'].shape)
    return saved | {'best_returns': returns}


def to_host(leaf: jax.Array, size: int, filled: int | None = None) -> np.ndarray:
    """A NumPy copy of the first `size` rows of `leaf`, whatever devices hold them.

    With `filled`, only of so much of the second axis. On a CPU each part is sliced through a view:
    nothing is compiled and nothing copied that is not wanted.
    """
    shards = sorted(leaf.addressable_shards, key=lambda shard: shard.index[0].start or 0)
    parts = [shard.data for shard in shards if shard.replica_id == 0]
    if jax.default_backend() == 'cpu':
        parts = [np.asarray(part) for part in parts]
    if filled is not None:
        parts = [part[:, :filled] for part in parts]
    return np.concatenate([np.asarray(part) for part in parts])[:size]


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _name(path) -> str:
    return jax.tree_util.keystr(path, simple=True, separator='.')
