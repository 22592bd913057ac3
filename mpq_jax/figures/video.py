"""An episode as a GIF or MP4, drawn by MuJoCo's renderer: a GL library, no display is needed."""

import ctypes.util
import functools
import importlib
import io
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
from PIL import Image

from mpq_jax.base.files import replacing, write_atomically
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import State
from mpq_jax.dynamics.mujoco_model import load_model, mocap_law
from mpq_jax.tasks import Task

SIZE = 480, 360  # pixels; MuJoCo's default buffer holds 640 x 480
FRAME_SECONDS = 0.04  # shorter control steps share a frame: GIF players slow down below 0.02

_INSTALL_GL = (
    'left out here, for no GL library works without a display. On Debian: '
    'apt install libegl1 libgl1-mesa-dri (EGL), or apt install libosmesa6 and MUJOCO_GL=osmesa'
)
_INSTALL_MP4 = "a .gif, or imageio-ffmpeg installed: pip install -e '.[video]'"


def check_video(path: str | Path, task: Task) -> None:
    """Whether `write_video` could write that file.

    Raises:
      ConfigError: another ending than .gif or .mp4, or what is missing for it.
      TaskError: a task without an MJCF.
    """
    path = Path(path)
    if path.suffix not in ('.gif', '.mp4'):
        raise ConfigError('video', str(path), 'a file that ends in .gif or .mp4')
    if not path.absolute().parent.is_dir():
        raise ConfigError('video', str(path), 'in a directory that exists')
    if path.suffix == '.mp4' and _encoder() is None:
        raise ConfigError('video', str(path), _INSTALL_MP4)
    load_model(task, PhysicsConfig())
    if not can_render():
        raise ConfigError('video', str(path), _INSTALL_GL)


def write_video(
    path: str | Path,
    task: Task,
    states: State,
    camera: str | None = None,
    draw: Callable[[State], np.ndarray] | None = None,
) -> None:
    """Writes what a camera sees of a sequence of states, at the speed of time.

    Args:
      path: ends in .gif or .mp4.
      task: has an MJCF.
      states: `[T, ...]`, one a control step; where the task has a goal, it is drawn as a ball.
      camera: a name in the MJCF; its first camera if None, a free one where there is none.
      draw: a picture `[height, width, 3]` uint8 of a state, in the place of the MJCF's.

    Raises:
      ConfigError, TaskError: as `check_video`, or no camera of that name.
    """
    path = Path(path)
    check_video(path, task)
    every = max(1, round(FRAME_SECONDS / task.control_timestep))
    shown = jax.tree.map(lambda x: np.asarray(x)[::every], states)
    if draw is None:
        frames = _of_mjcf(task, shown, camera)
    else:
        each = (jax.tree.map(lambda x, t=t: x[t], shown) for t in range(len(shown.qpos)))
        frames = (np.asarray(draw(state)) for state in each)
    seconds = every * task.control_timestep
    if path.suffix == '.gif':
        _write_gif(path, frames, seconds)
    else:
        _write_mp4(path, frames, seconds)


def _of_mjcf(task: Task, shown: State, camera: str | None) -> Iterator[np.ndarray]:
    model = load_model(task, PhysicsConfig())
    model.vis.quality.shadowsize = 1024  # of the default 4096: half the time where a CPU draws
    goals = None if task.goal is None else np.asarray(jax.vmap(task.goal)(shown.variables))
    poses = mocap_poses(task, model, shown.variables)
    return render(model, np.asarray(shown.qpos), _camera(model, camera), goals, poses)


def mocap_poses(task: Task, model: mujoco.MjModel, variables) -> np.ndarray | None:
    """Of mocap bodies `[T, nmocap, 7]`, from a task's variables `[T, ...]`; None: the MJCF's."""
    if task.mocap is None:
        return None
    return np.asarray(jax.vmap(mocap_law(task, model))(variables))


def render(
    model: mujoco.MjModel, qpos: np.ndarray, camera: int, goals: np.ndarray | None = None,
    poses: np.ndarray | None = None,
) -> Iterator[np.ndarray]:  # fmt: skip
    """Yields a frame `[height, width, 3]` uint8 for each qpos `[T, nq]`.

    Args:
      model: what is drawn.
      qpos: `[T, nq]`.
      camera: its number; -1 is a free one.
      goals: `[T, 3]`, a ball in each frame; none if None.
      poses: of mocap bodies, as `mocap_poses` has them.
    """
    width, height = SIZE
    window = _context_class()(width, height)
    window.make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, context)
    scene, options, view = mujoco.MjvScene(model, 1000), mujoco.MjvOption(), mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, view)
    if camera >= 0:
        view.type, view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED.value, camera
    data, rectangle = mujoco.MjData(model), mujoco.MjrRect(0, 0, width, height)
    everything = mujoco.mjtCatBit.mjCAT_ALL.value
    try:
        for i, place in enumerate(qpos):
            data.qpos[:] = place
            if poses is not None:
                data.mocap_pos[:], data.mocap_quat[:] = poses[i, :, :3], poses[i, :, 3:]
            mujoco.mj_forward(model, data)
            mujoco.mjv_updateScene(model, data, options, None, view, everything, scene)
            if goals is not None:
                _add_ball(scene, goals[i])
            mujoco.mjr_render(rectangle, scene, context)
            pixels = np.empty((height, width, 3), np.uint8)
            mujoco.mjr_readPixels(pixels, None, rectangle, context)
            yield pixels[::-1]
    finally:
        context.free()
        window.free()


def _add_ball(scene: mujoco.MjvScene, place: np.ndarray) -> None:
    ball, sphere = scene.geoms[scene.ngeom], mujoco.mjtGeom.mjGEOM_SPHERE.value
    turn, colour = np.eye(3).ravel(), np.array([0.1, 0.7, 0.2, 0.8], np.float32)
    mujoco.mjv_initGeom(ball, sphere, np.full(3, 0.015), np.asarray(place, float), turn, colour)
    scene.ngeom += 1


def can_render() -> bool:
    """Whether a GL context opens here."""
    try:
        window = _context_class()(*SIZE)
        window.make_current()
        window.free()
    except Exception:  # each GL library has errors of its own
        return False
    return True


def _context_class() -> Any:
    """MuJoCo's class for the backend that MUJOCO_GL names, or for what is installed."""
    backend = os.environ.get('MUJOCO_GL', '').lower() or installed_backend()
    return importlib.import_module(f'mujoco.{backend}').GLContext


def installed_backend() -> str:
    """What MUJOCO_GL is to name here, for renderers that do not look themselves."""
    if sys.platform != 'linux':
        return 'cgl' if sys.platform == 'darwin' else 'glfw'
    found = (name for name in ('EGL', 'OSMesa') if ctypes.util.find_library(name))
    return next(found, 'glfw').lower()


def _camera(model: mujoco.MjModel, name: str | None) -> int:
    names = [model.camera(i).name for i in range(model.ncam)]
    if name is None:
        return 0 if names else -1
    if name not in names:
        raise ConfigError('camera', name, f'one of {", ".join(names) or "none: the MJCF has none"}')
    return names.index(name)


def _write_gif(path: Path, frames: Iterator[np.ndarray], seconds: float) -> None:
    first, *others = (Image.fromarray(frame) for frame in frames)
    palette = first.quantize(128)  # one for all: still parts do not flicker
    reduced = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in others]
    content = io.BytesIO()
    palette.save(
        content, 'GIF', save_all=True, append_images=reduced, duration=round(1000 * seconds), loop=0
    )
    write_atomically(path, content.getvalue())


def _write_mp4(path: Path, frames: Iterator[np.ndarray], seconds: float) -> None:
    encoder = _encoder()
    assert encoder is not None
    with replacing(path, '.tmp.mp4') as temporary:  # whose end tells the encoder the format
        first = next(frames)
        size = first.shape[1], first.shape[0]
        video = encoder.write_frames(str(temporary), size, fps=1 / seconds, macro_block_size=8)
        video.send(None)
        for frame in itertools.chain([first], frames):
            video.send(np.ascontiguousarray(frame))
        video.close()


@functools.cache
def _encoder() -> Any:
    """The module imageio_ffmpeg, or None; its wheel brings the encoder."""
    try:
        return importlib.import_module('imageio_ffmpeg')
    except ImportError:
        return None
