"""The batch axis of a run: what its members differ in, how it lies on devices, its programs."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from mpq_jax.base.compilation import CompiledFunction, compile
from mpq_jax.base.spreading import ALONE, Spread
from mpq_jax.config import Config
from mpq_jax.learning.algorithm import Numbers

_AXIS = 'members'


def stacked_numbers(configs: list[Config]) -> Numbers:
    """The numbers of all members, leaves float32 `[B]`."""
    each = [Numbers(*(getattr(c, name) for name in Numbers._fields)) for c in configs]
    return jax.tree.map(lambda *values: np.asarray(values, np.float32), *each)


@dataclasses.dataclass(frozen=True)
class Layout:
    """A batch of `size` members over devices; padded by repeating the last where it must be.

    Padding is never reported: `trimmed` drops it.
    """

    size: int
    devices: tuple[Any, ...]
    spread: Spread = ALONE  # of each plan's samples: every device has all members, then

    @property
    def padded(self) -> int:
        return -(-self.size // len(self.devices)) * len(self.devices)

    @property
    def per_device(self) -> int:
        return self.padded // len(self.devices)

    @property
    def sharding(self) -> NamedSharding | None:
        """Of the leading axis; None on one device."""
        if len(self.devices) == 1:
            return self.spread.everywhere
        return NamedSharding(self._mesh, PartitionSpec(_AXIS))

    def placed(self, tree):
        """Arrays `[size, ...]`, padded, each device holding its part of the leading axis."""
        if len(self.devices) == 1:
            return self.spread.placed(tree)
        rows = np.minimum(np.arange(self.padded), self.size - 1)
        return jax.tree.map(lambda x: jax.device_put(jnp.asarray(x)[rows], self.sharding), tree)

    def trimmed(self, tree):
        """The first `size` rows of arrays `[padded, ...]`."""
        if self.padded == self.size:
            return tree
        return jax.tree.map(lambda x: x[: self.size], tree)

    def split(self, fn: Callable, replicated: tuple[int, ...], num_args: int) -> Callable:
        """`fn` of batches as one program in which each device runs its own members.

        Args:
          fn: of arguments and results with a leading batch axis.
          replicated: positions of the arguments that every device gets whole.
          num_args: how many arguments there are.
        """
        if len(self.devices) == 1:
            return fn
        whole, part = PartitionSpec(), PartitionSpec(_AXIS)
        specs = tuple(whole if i in replicated else part for i in range(num_args))
        return jax.shard_map(fn, mesh=self._mesh, in_specs=specs, out_specs=part, check_vma=False)

    @property
    def _mesh(self) -> Mesh:
        return Mesh(np.array(self.devices), (_AXIS,))


def layout_of(size: int, devices: int | None = None, spread: Spread = ALONE) -> Layout:
    """A batch over all local devices, or fewer: never more than it has members.

    Where each plan's samples are spread, over those of the spread instead.
    """
    most = 1 if spread.devices > 1 else devices or size
    return Layout(size, tuple(jax.local_devices()[: min(size, most)]), spread)


@dataclasses.dataclass
class Hooks:
    """Who is told what goes on while programs are called."""

    on_compile: Callable[[str], None] = lambda name: None  # called before each compilation
    on_failure: Callable[[str], None] = print  # called with what failed and is tried again
    on_step: Callable[[str], None] = lambda text: None  # called as a driven episode goes on


@dataclasses.dataclass(eq=False)
class BatchCompiler:
    """Programs of a batch, by name: each compiled on first use, for its one shape, never again."""

    layout: Layout
    hooks: Hooks
    compiled: dict[str, CompiledFunction] = dataclasses.field(default_factory=dict)

    def call(
        self, name: str, fn, *args, replicated: tuple[int, ...] = (), donate: tuple[int, ...] = (),
        fusion_emitters: bool = False,
    ) -> Any:  # fmt: skip
        """Calls a function of batches; the arguments at `donate` give their memory to results."""
        if name not in self.compiled:
            self.hooks.on_compile(name)
            split = self.layout.split(fn, replicated, len(args))
            self.compiled[name] = compile(
                split, *args, name=name, donate=donate, out_shardings=self.layout.sharding,
                fusion_emitters=fusion_emitters,
            )  # fmt: skip
        return self.compiled[name](*args)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """What the programs cost, by name."""
        programs = self.compiled.values()
        return {
            'compile_seconds': {p.name: round(p.compile_seconds, 2) for p in programs},
            'temporary_bytes': {p.name: p.temporary_bytes for p in programs},
        }
