"""What the installed Gymnasium says of an environment: its MJCF, its constants. None is built."""

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mpq_jax.base.validation import TaskError
from mpq_jax.tasks.model_source import make_model


class Installed(NamedTuple):
    """An environment's facts."""

    id: str
    path: Path  # of its MJCF
    constants: Mapping[str, Any]  # the arguments it is made with, by name: weights, ranges
    episode_steps: int
    timestep: float  # seconds a control step, its `dt`
    physics_timestep: float  # seconds
    qpos0: np.ndarray  # [nq], what its starts are about
    nv: int
    ctrl: np.ndarray  # [nu], actuator units an action of 1


def find(environment_id: str, arguments: Mapping[str, Any]) -> Installed:
    """The facts of a registered environment, made with these arguments.

    Raises:
      TaskError: Gymnasium or its MuJoCo environments are not installed, or too old to have it;
        MuJoCo refuses its MJCF.
    """
    remedy = "pip install 'mpq_jax[gymnasium]'"
    try:
        gymnasium = importlib.import_module('gymnasium')
    except ImportError as error:
        raise TaskError(f'gymnasium:{environment_id} needs Gymnasium: {remedy}') from error
    try:
        spec = gymnasium.spec(environment_id)
        made_by = gymnasium.envs.registration.load_env_creator(spec.entry_point)
    except (ImportError, gymnasium.error.Error) as error:
        raise TaskError(
            f'gymnasium:{environment_id}: Gymnasium {gymnasium.__version__} does not offer it '
            f'({error}): {remedy}'
        ) from error
    signature = inspect.signature(made_by.__init__).parameters.values()
    constants = {p.name: p.default for p in signature if p.default is not p.empty}
    constants |= spec.kwargs | dict(arguments)
    path = Path(inspect.getfile(made_by)).parent / 'assets' / constants['xml_file']
    model = make_model(path, {}, {}, f'task {environment_id!r}')
    return Installed(
        environment_id,
        path,
        constants,
        spec.max_episode_steps,
        constants['frame_skip'] * model.opt.timestep,
        model.opt.timestep,
        model.qpos0.astype(np.float32),
        model.nv,
        model.actuator_ctrlrange[:, 1].copy(),
    )
