"""One batch for all worlds: what MJX does on Warp, however often it is vmapped.

Warp has one buffer for the contacts of all worlds, of a size that is fixed when a program is
traced, and loses what does not fit. So nested vmaps become one batch here, whose size is then
known, and what Warp noted as lost ends the program.
"""

import contextlib
import copy
import functools
import importlib.util
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jax.custom_batching import custom_vmap

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.warp.buffers import Buffers, buffers_for
from mpq_jax.tasks import Task

with contextlib.redirect_stdout(io.StringIO()):  # its import prints where Warp is absent
    from mujoco import mjx

# Bits of MJX's overflow mask; the others but those of `FEW_ITERATIONS` are cured by no field.
_OF_FIELD = {
    'warp_constraints': 1 << 0 | 1 << 1,  # rows of the Jacobian, its elements
    'warp_contacts': 1 << 2 | 1 << 3 | 1 << 4,  # pairs to look at, contacts, convex pairs
}
FEW_ITERATIONS = 1 << 9 | 1 << 10  # of the solver and its line search: a choice, nothing is lost
# What Warp takes beside MJX's data for each place of a contact where geoms are convex bodies, whose
# distance is searched for: read from its source at 35 iterations (mjOption.ccd_iterations).
_CONVEX = ('ELLIPSOID', 'CYLINDER', 'BOX', 'MESH')
_CONVEX_BYTES = 7 * 2**10


class After(NamedTuple):
    """What is read of `mjx.Data` after a physics step; its sensors are of the state before."""

    qpos: jax.Array
    qvel: jax.Array
    act: jax.Array
    qacc_warmstart: jax.Array
    sensordata: jax.Array


class WarpPhysics:
    """A task's models and data on Warp.

    Raises:
      ConfigError: Warp is not installed, or a graph mode that the device does not have.
    """

    def __init__(self, task: Task, model: mujoco.MjModel, physics: PhysicsConfig):
        if importlib.util.find_spec('warp') is None:
            raise ConfigError(
                'physics.impl', 'warp', "'jax' without Warp: pip install 'mujoco-mjx[warp]'"
            )
        _be_quiet()
        self._model = _without_autoreset(model)
        self._graph_mode = _graph_mode(physics.warp_graph_mode)
        self.buffers = buffers_for(task, model, physics)

    @property
    def description(self) -> str:
        contacts, constraints = self.buffers
        return f'warp, {contacts} contacts and {constraints} constraints a world'

    @property
    def world_bytes(self) -> int:
        """What a world takes while it steps, estimated: its data, and Warp's own work space."""
        data = sum(leaf.nbytes for leaf in jax.tree.leaves(self.blank()))
        convex = [int(getattr(mujoco.mjtGeom, f'mjGEOM_{name}')) for name in _CONVEX]
        searched = np.isin(self._model.geom_type, convex).any()
        return data + self.buffers.contacts * _CONVEX_BYTES * int(searched)

    def put(self, model: mujoco.MjModel) -> mjx.Model:
        """Raises NotImplementedError where Warp cannot simulate it."""
        model = _without_autoreset(model)
        return _silent(mjx.put_model(model, impl='warp', graph_mode=self._graph_mode))

    def blank(self, worlds: int = 1) -> mjx.Data:
        """The data of one of so many worlds, NumPy arrays: the contacts' are those of all."""
        contacts, constraints = self.buffers
        with jax.ensure_compile_time_eval():
            data = mjx.make_data(
                self._model, impl='warp', naconmax=worlds * contacts, njmax=constraints
            )
            return jax.tree.map(np.asarray, data)

    def in_one_batch(self, advance: Callable[..., mjx.Data]) -> Callable[..., After]:
        """A physics step that may be vmapped: all its worlds go through Warp at once.

        Args:
          advance: (data of one blank world, *arguments) -> its data after a physics step.

        Returns:
          A function of the same arguments but the first. What it gives is NaN in a world that lost
          a contact or constraint, and the program that ran it fails, naming the field.
        """

        @functools.cache
        def of(worlds: int):
            @custom_vmap
            def step(*arguments):
                blank = jax.tree.map(_compact, self.blank(worlds))
                after = jax.vmap(functools.partial(advance, blank))(*arguments)
                return self._sound(after)

            @step.def_vmap
            def merged(count, batched, *arguments):
                def flat(x, is_batched):
                    x = x if is_batched else jnp.broadcast_to(x, (count, *x.shape))
                    return x.reshape(count * worlds, *x.shape[2:])

                together = jax.tree.map(flat, arguments, tuple(batched))
                results = of(count * worlds)(*together)
                apart = jax.tree.map(lambda x: x.reshape(count, worlds, *x.shape[1:]), results)
                return apart, jax.tree.map(lambda _: True, apart)

            return step

        def one(*arguments):
            results = of(1)(*jax.tree.map(lambda x: x[None], arguments))
            return jax.tree.map(lambda x: x[0], results)

        return one

    def _sound(self, after: mjx.Data) -> After:
        """Of all worlds `[W, ...]`; NaN where something was lost, and then the program fails."""
        lost = _overflow(after) & ~FEW_ITERATIONS
        kinds = jax.lax.reduce(lost, np.int32(0), jax.lax.bitwise_or, (0,))
        # In a branch: nothing is asked of the host as long as everything fits.
        failing = jax.ShapeDtypeStruct((), jnp.float32)
        fine = jax.lax.cond(
            kinds == 0,
            lambda kinds: jnp.float32(0),
            lambda kinds: jax.pure_callback(self._fail, failing, kinds),
            kinds,
        )
        marked = jnp.where(lost == 0, fine, jnp.nan)[:, None]
        return After(
            after.qpos + marked,
            after.qvel + marked,
            after.act + marked,
            after.qacc_warmstart + marked,
            after.sensordata + marked,
        )

    def _fail(self, kinds):
        raise overflow_error(int(kinds), self.buffers)


def overflow_error(kinds: int, buffers: Buffers) -> ConfigError:
    """What to say of a mask of overflows: the field that is too small, and its value now."""
    contacts, constraints = buffers
    values = {'warp_contacts': contacts, 'warp_constraints': constraints}
    for field, bits in _OF_FIELD.items():
        if kinds & bits:
            return ConfigError(
                f'planner_physics.{field}',
                values[field],
                'more: Warp ran out of places and lost some (of real_physics, if that is on Warp)',
            )
    return ConfigError(
        'planner_physics.impl',
        'warp',
        f"'jax', or the backend 'mujoco': a buffer of Warp's that cannot be set is full ({kinds})",
    )


# The private fields of MJX that are touched, all of them.


def _overflow(data: mjx.Data) -> jax.Array:
    """What was lost in each world `[W]`, int32 bits."""
    return data._impl.overflow


def _silent(model: mjx.Model) -> mjx.Model:
    """Without a line on the terminal for every step of a solver that is to stop early."""
    return model.tree_replace({'opt._impl.warn_overflow': 0})


def _compact(leaf: np.ndarray):
    """Buffers are written into the program as one number where they hold one."""
    if leaf.size > 1 and (leaf == leaf.flat[0]).all():
        return jnp.full(leaf.shape, leaf.flat[0], leaf.dtype)
    return jnp.asarray(leaf)


def _without_autoreset(model: mujoco.MjModel) -> mujoco.MjModel:
    """Warp has no such flag: it never puts a diverged state back."""
    model = copy.copy(model)
    model.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    return model


def _graph_mode(name: str) -> Any:
    """MJX's, of a field's value; None lets it choose. Raises ConfigError."""
    if name == 'auto':
        return None
    if jax.default_backend() == 'cpu' and name.startswith('warp'):
        raise ConfigError('physics.warp_graph_mode', name, "'auto', 'none' or 'jax' on a CPU")
    import warp

    return warp.JaxCallableGraphMode[name.upper()]


def _be_quiet() -> None:
    """Warp prints a line for every module of kernels that it loads."""
    import warp

    warp.config.log_level = warp.LOG_WARNING
