"""Where a plant's model comes from, and what is added to it: views, which become sensors."""

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import mujoco

from mpq_jax.base.validation import TaskError, nearest
from mpq_jax.tasks.physics_warnings import heard

# MJCF or URDF as text or a path, a spec, a model, or a function without arguments that makes one.
Source: TypeAlias = str | Path | Any

_KINDS = {
    'body': mujoco.mjtObj.mjOBJ_XBODY,  # its own frame, not that of its inertia
    'geom': mujoco.mjtObj.mjOBJ_GEOM,
    'site': mujoco.mjtObj.mjOBJ_SITE,
    'camera': mujoco.mjtObj.mjOBJ_CAMERA,
}
_QUANTITIES = {
    'position': mujoco.mjtSensor.mjSENS_FRAMEPOS,  # m
    'quaternion': mujoco.mjtSensor.mjSENS_FRAMEQUAT,
    'x_axis': mujoco.mjtSensor.mjSENS_FRAMEXAXIS,
    'y_axis': mujoco.mjtSensor.mjSENS_FRAMEYAXIS,
    'z_axis': mujoco.mjtSensor.mjSENS_FRAMEZAXIS,
    'linear_velocity': mujoco.mjtSensor.mjSENS_FRAMELINVEL,  # m/s
    'angular_velocity': mujoco.mjtSensor.mjSENS_FRAMEANGVEL,  # rad/s
}


class View(NamedTuple):
    """What a task reads of a body, geom, site or camera, in the world's frame."""

    kind: str  # 'body', 'geom', 'site', 'camera'
    name: str  # in the MJCF
    quantity: str = 'position'  # or another of `_QUANTITIES`


def make_model(
    source: Source, assets: Mapping[str, bytes], views: Mapping[str, View], blame: str
) -> mujoco.MjModel:
    """The model of a source, with a sensor for each view.

    Args:
      source: what the task gives as its `mjcf`.
      assets: files that XML text names, by name.
      views: by the name of the sensor that each becomes.
      blame: 'task ...', for errors.

    Raises:
      TaskError: MuJoCo refuses it; a view of something that is not there; views of an MjModel,
        which nothing can be added to; a function that makes something else.
    """
    heard.listen()
    if callable(source) and not isinstance(source, mujoco.MjSpec | mujoco.MjModel):
        source = _called(source, blame)
    if isinstance(source, mujoco.MjModel):
        if views:
            raise TaskError(
                f'{blame}: nothing can be added to an MjModel, so it has no views: give the MJCF, '
                'or an MjSpec'
            )
        return source
    try:
        if not views and not isinstance(source, mujoco.MjSpec):
            return _read(mujoco.MjModel, source, assets)
        spec = _read(mujoco.MjSpec, source, assets)
        for name, view in views.items():
            _add(spec, name, view, blame)
        return spec.compile()
    except (ValueError, TypeError) as error:
        raise TaskError(f'{blame}: its MJCF cannot be loaded: {error}') from error


def _called(source: Callable[[], Any], blame: str) -> Any:
    try:
        made = source()
    except TaskError:
        raise
    except Exception as error:
        raise TaskError(f'{blame}: mjcf failed with {type(error).__name__}: {error}') from error
    if not isinstance(made, str | Path | mujoco.MjSpec | mujoco.MjModel):
        raise TaskError(
            f'{blame}: mjcf returned a {type(made).__name__}: it must return an MJCF, as text or a '
            'path, an MjSpec or an MjModel'
        )
    return made


def _read(kind: Any, source: Any, assets: Mapping[str, bytes]) -> Any:
    """As an MjModel or an MjSpec of one's own."""
    if isinstance(source, mujoco.MjSpec):
        return source.copy()
    from_text, from_path = (
        (kind.from_xml_string, kind.from_xml_path)
        if kind is mujoco.MjModel
        else (kind.from_string, kind.from_file)
    )
    if is_text(source):
        files: dict[str, Any] = {'assets': dict(assets)} if assets else {}
        if files and kind is mujoco.MjSpec:  # which looks for included XML elsewhere
            files['include'] = dict(assets)
        return from_text(source, **files)
    return from_path(str(Path(source)))


def is_text(source: Source) -> bool:
    return isinstance(source, str) and str(source).lstrip().startswith('<')


def is_urdf(source: Source) -> bool:
    if is_text(source):
        return '<robot' in str(source)
    return isinstance(source, str | Path) and Path(source).suffix.lower() == '.urdf'


def _add(spec: mujoco.MjSpec, name: str, view: View, blame: str) -> None:
    blame = f'{blame}: views[{name!r}]'
    if not (isinstance(view, tuple) and 2 <= len(view) <= 3):
        raise TaskError(f'{blame} = {view!r}: it must be a mpq_jax.View(kind, name, quantity)')
    view = View(*view)
    for value, known in ((view.kind, _KINDS), (view.quantity, _QUANTITIES)):
        if value not in known:
            hint = nearest(value, known)
            raise TaskError(f'{blame} = {tuple(view)}: {value!r} is not one of {[*known]}{hint}')
    there = {'body': spec.bodies, 'geom': spec.geoms, 'site': spec.sites, 'camera': spec.cameras}
    names = [each.name for each in there[view.kind] if each.name]
    if view.name not in names:
        raise TaskError(
            f'{blame}: there is no {view.kind} {view.name!r}; with a name there are: '
            f'{", ".join(names) or "none"}{nearest(view.name, names)}'
        )
    if name in [sensor.name for sensor in spec.sensors]:
        raise TaskError(f'{blame}: the MJCF has a sensor of that name already')
    sensor = spec.add_sensor()
    sensor.name, sensor.type = name, _QUANTITIES[view.quantity]
    sensor.objtype, sensor.objname = _KINDS[view.kind], view.name


def menagerie(robot: str, entry: str = 'scene') -> Callable[[], mujoco.MjSpec]:
    """A robot of MuJoCo Menagerie, as a task's `mjcf`: menagerie('franka_emika_panda').

    From the checkout that MENAGERIE_ROOT names, or else by the package `mujoco-menagerie` (extra
    `menagerie`), which downloads a robot when it is first used.

    Args:
      robot: its directory's name.
      entry: which XML of it, without its ending.
    """

    def make() -> mujoco.MjSpec:
        root = os.environ.get('MENAGERIE_ROOT')
        if root is not None:
            return _of_checkout(Path(root), robot, entry)
        try:
            package = importlib.import_module('mujoco_menagerie')
        except ImportError as error:
            raise TaskError(
                f'menagerie({robot!r}): set MENAGERIE_ROOT to a checkout of MuJoCo Menagerie, or '
                "pip install 'mpq_jax[menagerie]'"
            ) from error
        try:
            return package.get(robot).spec(entry)
        except Exception as error:  # of many kinds: no such name, no network, a broken archive
            raise TaskError(
                f'menagerie({robot!r}, {entry!r}) cannot be had: {type(error).__name__}: {error}. '
                'Without a network, set MENAGERIE_ROOT to a checkout'
            ) from error

    return make


def _of_checkout(root: Path, robot: str, entry: str) -> mujoco.MjSpec:
    robots = sorted(path.parent.name for path in root.glob('*/*.xml'))
    if robot not in robots:
        raise TaskError(
            f'menagerie({robot!r}): there is none in MENAGERIE_ROOT = {root}'
            f'{nearest(robot, robots)}'
        )
    file = root / robot / f'{entry}.xml'
    entries = sorted(path.stem for path in file.parent.glob('*.xml'))
    if entry not in entries:
        raise TaskError(f'menagerie({robot!r}, {entry!r}): its entries are {", ".join(entries)}')
    return mujoco.MjSpec.from_file(str(file))
