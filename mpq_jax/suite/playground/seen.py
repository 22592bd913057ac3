"""What Playground's functions read of `mjx.Data`, taken from a task's `Reading`.

Poses become sensors of the model: they are then of the same instant as qpos on every backend, and
of the model that was drawn, not of the nominal one.
"""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks import Reading

_XBODY, _BODY = mujoco.mjtObj.mjOBJ_XBODY, mujoco.mjtObj.mjOBJ_BODY
_GEOM, _SITE = mujoco.mjtObj.mjOBJ_GEOM, mujoco.mjtObj.mjOBJ_SITE
_SENSOR = mujoco.mjtSensor
_PLACE = (_SENSOR.mjSENS_FRAMEPOS,)
_AXES = (_SENSOR.mjSENS_FRAMEXAXIS, _SENSOR.mjSENS_FRAMEYAXIS, _SENSOR.mjSENS_FRAMEZAXIS)
# A field of mjx.Data, a row for each object: the list of a spec that holds them, their kind, and
# the sensors of a row: one vector, or the columns of a rotation matrix.
_FIELDS: Mapping[str, tuple[str, mujoco.mjtObj, tuple]] = {
    'xpos': ('bodies', _XBODY, _PLACE),
    'xmat': ('bodies', _XBODY, _AXES),
    'xipos': ('bodies', _BODY, _PLACE),
    'subtree_com': ('bodies', _BODY, (_SENSOR.mjSENS_SUBTREECOM,)),
    'geom_xpos': ('geoms', _GEOM, _PLACE),
    'geom_xmat': ('geoms', _GEOM, _AXES),
    'site_xpos': ('sites', _SITE, _PLACE),
    'site_xmat': ('sites', _SITE, _AXES),
}
_HELD = ('qpos', 'qvel', 'sensordata', 'mocap_pos')

Rows = Mapping[str, tuple[int, ...]]  # field of `_FIELDS` -> rows that are read


def rows_read(model: mujoco.MjModel, function: Callable[[Any], Any]) -> dict[str, tuple[int, ...]]:
    """Which rows of which pose fields a function of `mjx.Data` reads, found by tracing it.

    Raises:
      TaskError: it reads a field that has no sensor.
    """
    used: dict[str, set[int]] = {}
    jax.eval_shape(lambda: function(_Recorder(mujoco.MjData(model), used)))
    unknown = sorted(used.keys() - _FIELDS.keys() - set(_HELD))
    if unknown:
        raise TaskError(f'it reads data.{unknown[0]}, for which MuJoCo has no sensor')
    return {field: tuple(sorted(rows)) for field, rows in used.items() if field in _FIELDS}


class _Recorder:
    """Data of a model's initial configuration that notes what is read of it."""

    def __init__(self, data: mujoco.MjData, used: dict[str, set[int]]):
        self._data, self._used = data, used

    def __getattr__(self, field: str):
        values = jnp.asarray(getattr(self._data, field), jnp.float32)
        if field.endswith('mat'):
            values = values.reshape(-1, 3, 3)
        used = self._used.setdefault(field, set())
        return _RecordedRows(values, used) if field in _FIELDS else values


class _RecordedRows:
    """An array that notes which of its rows are read."""

    def __init__(self, values: jax.Array, used: set[int]):
        self._values, self._used = values, used

    def __getitem__(self, index):
        rows = np.arange(len(self._values))
        self._used.update(np.ravel(rows[index[0] if isinstance(index, tuple) else index]).tolist())
        return self._values[index]

    def __getattr__(self, name: str):  # anything else may read them all
        return getattr(self.__jax_array__(), name)

    def __jax_array__(self) -> jax.Array:
        self._used.update(range(len(self._values)))
        return self._values


class Sight(NamedTuple):
    """The sensors of a model that stand for fields of its data."""

    sensors: tuple[str, ...]  # the model's own, which make up `sensordata`
    rows: Rows
    sizes: Mapping[str, int]  # how many rows a field has

    def data(self, reading: Reading, mocap_pos: Any) -> '_Seen':
        """What stands for the data at a reading."""
        return _Seen(self, reading, mocap_pos)

    def poses(self, data: Any) -> dict[str, np.ndarray]:
        """What the added sensors are to read where data, MJX's or MuJoCo's, have these poses."""
        found = {}
        for field, rows in self.rows.items():
            columns = len(_FIELDS[field][2])
            values = np.asarray(getattr(data, field), np.float32).reshape(-1, 3, columns)
            for row, column in itertools.product(rows, range(columns)):
                found[_name(field, row, column)] = values[row, :, column]
        return found


def add_sensors(spec: mujoco.MjSpec, rows: Rows) -> Sight:
    """Gives a compiled spec a sensor for each row, and names to what is read and has none."""
    for i, sensor in enumerate(spec.sensors):
        sensor.name = sensor.name or f'sensor {i}'
    own = tuple(sensor.name for sensor in spec.sensors)
    sizes = {}
    for field, read in rows.items():
        holder, kind, sensors = _FIELDS[field]
        objects = {each.id: each for each in getattr(spec, holder)}
        sizes[field] = len(objects)
        for row in read:
            if not objects[row].name:
                objects[row].name = f'{holder} {row}'
            for column, type_ in enumerate(sensors):
                sensor = spec.add_sensor()
                sensor.name, sensor.type = _name(field, row, column), type_
                sensor.objtype, sensor.objname = kind, objects[row].name
    return Sight(own, rows, sizes)


def _name(field: str, row: int, column: int) -> str:
    return f'{field} {row} {column}'


class _Seen:
    """Stands for `mjx.Data`; rows that nothing was seen to read are NaN."""

    def __init__(self, sight: Sight, reading: Reading, mocap_pos: Any):
        self._sight, self._reading, self.mocap_pos = sight, reading, mocap_pos
        self.qpos, self.qvel = reading.qpos, reading.qvel

    @property
    def sensordata(self) -> jax.Array:
        return jnp.concatenate([self._reading.sensors[name] for name in self._sight.sensors])

    def __getattr__(self, field: str) -> jax.Array:
        if field not in self._sight.rows:
            raise AttributeError(f'data.{field} was not read when the task was made')
        columns = len(_FIELDS[field][2])
        unread = jnp.full((3, columns), jnp.nan)
        rows = [unread] * self._sight.sizes[field]
        for row in self._sight.rows[field]:
            sensed = [self._reading.sensors[_name(field, row, c)] for c in range(columns)]
            rows[row] = jnp.stack(sensed, axis=-1)
        return jnp.stack(rows) if columns == 3 else jnp.stack(rows)[..., 0]
