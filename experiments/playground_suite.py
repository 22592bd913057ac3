"""Playground's suite as tasks, against the environments: python -m experiments.playground_suite.

All 25 environments: each is traced, stepped and planned on; observations, rewards and steps are
held against those of `env.step`. Writes playground_suite.json and .md into --run_dir, after each
environment; the same command goes on where it was stopped.
"""

import json
import time
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
from absl import flags

import mpq_jax
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.commands import command_line
from mpq_jax.config import PhysicsConfig
from mpq_jax.environments.adaptors.playground_environment import PlaygroundEnvironment
from mpq_jax.environments.native_system import make_native_systems
from mpq_jax.runs.run_directory import manifest
from mpq_jax.suite.playground import names
from mpq_jax.suite.playground.loading import load
from mpq_jax.suite.playground.task import plant
from mpq_jax.tasks import Reading
from mpq_jax.tasks.plant import sensor_slices

FLAGS = flags.FLAGS
DIFFERENCES = {
    'observation': "env.step's, of the data that it is of: poses are one substep older than qpos",
    'reward': 'the same',
    'poses': "the task's sensors against MuJoCo's poses of the environment's model, at one instant",
    'qpos': 'after one control step from the same state, native MuJoCo against MJX',
    'lag': "of the observation, by reading all at one instant: against env.step's own",
}


def compare(name: str, steps: int = 10, seed: int = 0) -> dict[str, float]:
    """Largest differences between a task and its environment over random actions: `DIFFERENCES`."""
    task, environment = mpq_jax.load_task(f'playground:{name}'), PlaygroundEnvironment(name, name)
    ours = make_native_systems(task, PhysicsConfig(), 1)[0]
    observe, cost = jax.jit(task.observe), jax.jit(task.cost)
    environment.reset(seed)
    variables = task.reset(jax.random.key(seed)).variables
    here = ours.began_at(environment.place()._asdict(), variables)
    found, random = dict.fromkeys(DIFFERENCES, 0.0), np.random.default_rng(seed)
    for _ in range(steps):
        action = random.uniform(-1.0, 1.0, ours.model.nu).astype(np.float32)
        reward = environment.step(action).reward
        stepped = ours.step(action).state.qpos
        state, here = environment.state, ours.began_at(environment.place()._asdict(), variables)
        lagging = _reading(name, state.data)
        poses = _poses(name, here.state)
        for what, mine, theirs in (
            ('observation', observe(lagging, variables), np.ravel(state.obs)),
            ('reward', -cost(lagging, variables, action), reward),
            ('qpos', stepped, state.data.qpos),
            ('lag', observe(here.reading, variables), np.ravel(state.obs)),
            *(('poses', here.reading.sensors[sensor], pose) for sensor, pose in poses.items()),
        ):
            difference = np.abs(np.asarray(mine) - np.asarray(theirs)).max()
            found[what] = max(found[what], float(difference))
    return found


def _reading(name: str, data: Any) -> Reading:
    """Of an environment's own data, as old as its poses and sensors are."""
    model, sight = plant(name)
    places = sensor_slices(model)
    own: Any = {sensor: np.asarray(data.sensordata)[places[sensor]] for sensor in sight.sensors}
    return Reading(data.qpos, data.qvel, own | sight.poses(data))


def _poses(name: str, state: Any) -> dict[str, np.ndarray]:
    """By native MuJoCo, of the environment's own model."""
    model = load(name).environment.mj_model
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = state.qpos, state.qvel
    if model.nmocap:
        data.mocap_pos[:] = state.variables
    mujoco.mj_forward(model, data)
    return plant(name)[1].poses(data)


def plan(name: str) -> dict[str, float]:
    """Seconds to the first plan with the task's own settings, and milliseconds of one."""
    config = mpq_jax.preset(f'playground:{name}', 'mppi')
    began = time.perf_counter()
    controller = mpq_jax.make_controller(config)
    task = mpq_jax.load_task(config.task)
    start = task.reset(jax.random.key(0))
    fields = {'qpos': start.qpos, 'qvel': start.qvel, 'variables': start.variables}
    controller.act(**fields)
    compiled, times = time.perf_counter(), []
    for _ in range(10):
        before = time.perf_counter()
        action = controller.act(**fields)
        times.append(time.perf_counter() - before)
    assert np.isfinite(action).all()
    return {
        'first_plan_seconds': round(compiled - began, 2),
        'plan_milliseconds': round(1000 * float(np.median(times)), 3),
    }


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/playground_suite')
    path.mkdir(parents=True, exist_ok=True)
    file = path / 'playground_suite.json'
    rows = json.loads(file.read_text())['rows'] if file.exists() else {}
    for number, name in enumerate(names()):
        if name in rows:
            continue
        console.print(f'{number + 1}/{len(names())} {name} ...', markup=False)
        rows[name] = {k: float(f'{v:.2g}') for k, v in compare(name).items()} | plan(name)
        content = {'differences': DIFFERENCES, 'made_by': manifest(), 'rows': rows}
        write_atomically(file, json.dumps(content, indent=1) + '\n')
        write_atomically(path / 'playground_suite.md', _table(rows))
    console.print(_table(rows), markup=False)


def _table(rows: dict[str, dict[str, float]]) -> str:
    columns = list(next(iter(rows.values())))
    lines = [' | '.join(['| environment', *(c.replace('_', ' ') for c in columns)]) + ' |']
    lines += ['|---' * (len(columns) + 1) + '|']
    lines += [
        ' | '.join([f'| {name}', *(f'{row[column]:g}' for column in columns)]) + ' |'
        for name, row in rows.items()
    ]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    command_line.run(main)
