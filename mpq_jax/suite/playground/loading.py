"""Playground's environments by name, on MJX: needs the extra `playground`."""

import functools
import importlib
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import mujoco

from mpq_jax.base.validation import TaskError, nearest

_OTHERS = ('locomotion', 'manipulation')


def names() -> tuple[str, ...]:
    """The environments of its dm_control suite, 25 in Playground 0.2. Raises as `load`."""
    return tuple(_suite('CartpoleSwingup').ALL_ENVS)


class Loaded(NamedTuple):
    """An environment, and the spec of its model; nothing is changed of the two."""

    environment: Any
    spec: mujoco.MjSpec


@functools.cache
def load(name: str) -> Loaded:
    """An environment by its name in Playground.

    Raises:
      TaskError: Playground is not installed, has none of that name, or one that is not of the
        suite: those of locomotion and manipulation pay by what they remember (`info`), which no
        `Reading` holds, and fetch Menagerie by git.
    """
    suite = _suite(name)
    known = tuple(suite.ALL_ENVS)
    if name in known:
        environment = suite.load(name, config_overrides={'impl': 'jax'})
        return Loaded(environment, _spec(environment))
    for other in _OTHERS:
        if name in importlib.import_module(f'mujoco_playground._src.{other}').ALL_ENVS:
            raise TaskError(
                f'task = {f"playground:{name}"!r} belongs to {other}: its reward depends on what '
                'the environment remembers, which no Reading holds. Only those of the dm_control '
                f'suite can be had: {", ".join(known)}'
            )
    raise TaskError(
        f'task = {f"playground:{name}"!r} is not known: Playground has {", ".join(known)}'
        f'{nearest(name, known)}'
    )


def _spec(environment: Any) -> mujoco.MjSpec:
    """From its file; or, where a program wrote it, from what MuJoCo has just read."""
    spec = mujoco.MjSpec.from_file(environment.xml_path)
    if spec.compile().nbody == environment.mj_model.nbody:
        return spec
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'model.xml'
        mujoco.mj_saveLastXML(str(file), environment.mj_model)
        return mujoco.MjSpec.from_file(str(file))


def _suite(name: str) -> Any:
    try:
        return importlib.import_module('mujoco_playground').dm_control_suite
    except ImportError as error:
        raise TaskError(
            f'task = {f"playground:{name}"!r} needs MuJoCo Playground: '
            f"pip install 'mpq_jax[playground]' ({error})"
        ) from error
