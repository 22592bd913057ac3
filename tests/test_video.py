"""Episodes as GIF and MP4, and what is said where they cannot be drawn."""

import dataclasses
import sys

import jax
import numpy as np
import pytest
from PIL import Image, ImageSequence

import mpq_jax
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.dynamics import State
from mpq_jax.figures import video
from mpq_jax.tasks import load_task, register_task
from tests.conftest import lq_task, tiny_config

needs_gl = pytest.mark.skipif(not video.can_render(), reason='no GL library works here')
DRAWN = ('pendulum', 'cartpole_swingup', 'ball_in_cup', 'fetch_push', 'franka_drawer')


def some_motion(task, steps=5):
    """States `[steps, ...]` that move every joint."""
    start = task.reset(jax.random.key(0))
    qpos = np.asarray(start.qpos) + np.linspace(0.0, 0.1, steps)[:, None]
    variables = jax.tree.map(lambda x: np.tile(x, (steps, 1)), start.variables)
    return State(qpos, None, None, None, variables)


@pytest.fixture(scope='module')
def short_run(tmp_path_factory):
    """A pendulum of four control steps an episode."""
    pendulum = load_task('pendulum')
    register_task('short', lambda: dataclasses.replace(pendulum, episode_steps=4))
    config = tiny_config(agent='mppi', task='short', num_seeds=1, episodes=1)
    return mpq_jax.train(config, tmp_path_factory.mktemp('video') / 'run')


@needs_gl
@pytest.mark.parametrize('name', DRAWN)
def test_a_gif_shows_the_task_in_motion_at_the_speed_of_time(name, tmp_path):
    task = load_task(name)
    states = some_motion(task)
    video.write_video(tmp_path / 'x.gif', task, states)
    with Image.open(tmp_path / 'x.gif') as image:
        frames = [np.asarray(f.convert('RGB'), int) for f in ImageSequence.Iterator(image)]
        milliseconds = image.info['duration']
    assert frames[0].shape == (*video.SIZE[::-1], 3) and np.ptp(frames[0]) > 50
    assert abs(frames[0] - frames[-1]).mean() > 0.1
    shown, taken = len(frames) * milliseconds / 1000, len(states.qpos) * task.control_timestep
    assert 0 <= shown - taken < video.FRAME_SECONDS


@needs_gl
def test_the_goal_is_drawn_where_it_is(tmp_path):
    task = load_task('fetch_push')
    states = some_motion(task, 1)
    pictures = []
    for shift in (0.0, 0.3):
        moved = states._replace(variables=states.variables + np.array([0.0, shift, 0.0]))
        video.write_video(tmp_path / 'x.gif', task, moved)
        pictures.append(np.asarray(Image.open(tmp_path / 'x.gif').convert('RGB'), int))
    green = [picture[..., 1] - picture[..., [0, 2]].max(axis=-1) > 30 for picture in pictures]
    columns = [np.nonzero(mask)[1].mean() for mask in green]
    assert columns[1] - columns[0] > 20  # the camera looks along -x: y is to the right


@needs_gl
def test_cameras_by_name(tmp_path):
    task = load_task('franka_drawer')
    pictures = []
    for camera in ('side', 'corner'):
        video.write_video(tmp_path / 'x.gif', task, some_motion(task, 1), camera)
        pictures.append(np.asarray(Image.open(tmp_path / 'x.gif').convert('RGB'), int))
    assert abs(pictures[0] - pictures[1]).mean() > 5
    with pytest.raises(ConfigError, match=r"camera = 'top' .* one of side, corner"):
        video.write_video(tmp_path / 'x.gif', task, some_motion(task, 1), 'top')


@needs_gl
def test_evaluation_draws_its_first_episode(short_run, tmp_path):
    mpq_jax.evaluate(short_run.path, 1, video=tmp_path / 'episode.gif')
    with Image.open(tmp_path / 'episode.gif') as image:
        assert image.n_frames == 4


@needs_gl
def test_an_mp4_holds_the_frames_of_the_gif(tmp_path):
    imageio_ffmpeg = pytest.importorskip('imageio_ffmpeg')
    task = load_task('franka_drawer')
    for name in ('x.mp4', 'x.gif'):
        video.write_video(tmp_path / name, task, some_motion(task, 5))
    reader = imageio_ffmpeg.read_frames(str(tmp_path / 'x.mp4'))
    facts, frames = next(reader), [np.frombuffer(f, np.uint8).astype(int) for f in reader]
    assert facts['size'] == video.SIZE and facts['fps'] == 25.0 and len(frames) == 5
    with Image.open(tmp_path / 'x.gif') as image:
        first = np.asarray(image.convert('RGB'), int)
    assert abs(frames[0].reshape(first.shape) - first).mean() < 10
    assert (frames[0] != frames[-1]).any()


def test_what_is_missing_is_named_with_the_command_that_brings_it(tmp_path, monkeypatch):
    task = load_task('franka_drawer')
    with pytest.raises(ConfigError, match=r"video = 'x.avi' .* \.gif or \.mp4"):
        video.check_video('x.avi', task)
    with pytest.raises(ConfigError, match='a directory that exists'):
        video.check_video(tmp_path / 'none' / 'x.gif', task)
    with pytest.raises(TaskError, match='no MJCF'):
        video.check_video(tmp_path / 'x.gif', lq_task())
    monkeypatch.setitem(sys.modules, 'imageio_ffmpeg', None)  # cannot be imported
    video._encoder.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install -e '\.\[video\]'"):
        video.check_video(tmp_path / 'x.mp4', task)
    video._encoder.cache_clear()
    monkeypatch.setenv('MUJOCO_GL', 'disabled')
    assert not video.can_render()
    with pytest.raises(ConfigError, match=r'apt install libegl1 .* apt install libosmesa6'):
        video.check_video(tmp_path / 'x.gif', task)


def test_evaluation_says_so_before_it_runs_an_episode(short_run, tmp_path, monkeypatch):
    short_run.evaluation_file.unlink(missing_ok=True)
    monkeypatch.setenv('MUJOCO_GL', 'disabled')
    with pytest.raises(ConfigError, match='apt install'):
        mpq_jax.evaluate(short_run.path, 1, video=tmp_path / 'episode.gif')
    assert not short_run.evaluation_file.exists()
