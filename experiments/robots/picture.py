"""An episode of each robot, drawn: python -m experiments.robots.picture --run_dir=... --out=x.png.

MPPI with the settings that experiments.tuning_table found below --run_dir, on seed 100; one row a
robot, six instants evenly spread.
"""

import json
from pathlib import Path

import jax
import numpy as np
from absl import flags
from PIL import Image

import mpq_jax
from experiments.tuning_table import ENTRIES
from mpq_jax.commands import command_line
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.figures.video import SIZE, render

FLAGS = flags.FLAGS
_INSTANTS, _SCALE = 6, 0.5


def main() -> None:
    path = Path(FLAGS.run_dir or 'runs/tuned')
    rows = [_row(ENTRIES[name].task, path / 'tune' / name) for name in FLAGS.entries]
    width, height = (int(_SCALE * size) for size in SIZE)
    sheet = Image.new('RGB', (_INSTANTS * width, len(rows) * height))
    for i, frames in enumerate(rows):
        for j, frame in enumerate(frames):
            small = Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS)
            sheet.paste(small, (j * width, i * height))
    sheet.quantize(160).save(FLAGS.out, optimize=True)


def _row(name: str, tuned: Path) -> list[np.ndarray]:
    """Frames of an episode."""
    settings = json.loads((tuned / 'settings.json').read_text())
    controller = mpq_jax.make_controller(
        mpq_jax.set_fields(mpq_jax.preset(name, 'mppi'), settings | {'seed': 100})
    )
    task = mpq_jax.load_task(name)
    (system,) = make_native_systems(task, PhysicsConfig(), 1)
    now, places = system.reset(jax.random.key(100)), []
    for _ in range(task.episode_steps):
        places.append(now.state.qpos)
        now = system.step(controller.act(now.state.qpos, now.state.qvel))
    shown = np.linspace(0, task.episode_steps - 1, _INSTANTS).astype(int)
    model = load_model(task, PhysicsConfig())
    model.vis.headlight.ambient[:] = 0.5
    # Where it has no camera of its own: a free one, from the side.
    model.stat.extent, model.stat.center[:], model.vis.global_.azimuth = 2.0, 0.0, 90
    return list(render(model, np.stack(places)[shown], 0 if model.ncam else -1))


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_list('entries', ['double_pendulum', 'half_cheetah', 'walker'], 'which robots')
    flags.DEFINE_string('out', 'robots.png', 'the picture')
    command_line.run(main)
