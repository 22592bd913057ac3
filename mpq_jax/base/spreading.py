"""One axis of a program's work over several local devices; each of them has all the rest."""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_AXIS = 'samples'


@dataclasses.dataclass(frozen=True)
class Spread:
    """Pytrees whose leading axis, a multiple of `devices`, may lie over so many devices.

    On one device nothing is changed by any of this.
    """

    devices: int = 1

    @property
    def everywhere(self) -> NamedSharding | None:
        """Of what each device has whole; None on one device."""
        return None if self.devices == 1 else NamedSharding(self._mesh, PartitionSpec())

    def placed(self, tree):
        """Arrays, on every device."""
        return tree if self.devices == 1 else jax.device_put(tree, self.everywhere)

    def apart(self, tree, items: int):
        """In a program: each device makes its part of what has a leading axis of so many items."""
        if self.devices == 1:
            return tree
        here = PartitionSpec(_AXIS)
        return jax.tree.map(
            lambda x: self._constrained(x, here) if np.shape(x)[:1] == (items,) else x, tree
        )

    def together(self, tree):
        """In a program: each device gets the whole."""
        return tree if self.devices == 1 else self._constrained(tree, PartitionSpec())

    def split(self, fn: Callable, items, whole):
        """`fn(items, whole)`, each device with its own of the items; no other array may be used.

        Items and results have a leading axis.
        """
        if self.devices == 1:
            return fn(items, whole)
        part = PartitionSpec(_AXIS)
        return jax.shard_map(
            fn, mesh=self._mesh, in_specs=(part, PartitionSpec()), out_specs=part, check_vma=False
        )(items, whole)

    def _constrained(self, tree, spec: PartitionSpec):
        where = NamedSharding(self._mesh, spec)
        return jax.tree.map(lambda x: jax.lax.with_sharding_constraint(x, where), tree)

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(jax.local_devices()[: self.devices]), (_AXIS,))


def spread_over(devices: int, items: int) -> Spread:
    """Over the most of the devices, and of those there are, that get as many items each."""
    most = max(1, min(devices, jax.local_device_count(), items))
    return Spread(next(count for count in range(most, 0, -1) if items % count == 0))


ALONE = Spread()
