"""What a long life of a process holds: threads and models of native physics are bounded."""

import csv
import subprocess
import sys
import weakref
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil
import pytest

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, native_rollouts
from mpq_jax.runs.metrics import COLUMNS
from mpq_jax.runs.run_directory import RunDirectory
from tests.conftest import tiny_config
from tests.entry_points import ROOT


def step(simulator, masses):
    """Next speeds `[M]` of models that differ in mass."""
    state = simulator.state(mpq_jax.Start(jnp.ones(1), jnp.zeros(1)))
    values = {'mass': jnp.asarray(masses), 'length': jnp.ones(len(masses))}
    many = jax.vmap(simulator.step, in_axes=(0, None, None))
    return np.asarray(many(simulator.make_models(values), state, jnp.ones(1))[0].qvel)[:, 0]


def test_simulators_give_their_threads_back(pendulum):
    """At most two simulators have threads at once: those that stepped last."""
    timesteps = 0.05, 0.025, 0.0125, 0.01, 0.005
    kept = [make_simulator(pendulum, PhysicsConfig('mujoco', timestep=t)) for t in timesteps]
    for simulator in kept[:2]:
        step(simulator, [1.0, 2.0])
    before = psutil.Process().num_threads()
    for simulator in kept[2:] * 2:
        step(simulator, [1.0, 2.0])
    assert psutil.Process().num_threads() <= before


def test_a_simulator_gets_no_batch_of_one_that_is_gone():
    """Where it was, the next one is made; its batch outlives it, and is of another layout."""
    for name in ['pendulum', 'ball_in_cup'] * 5:
        task = mpq_jax.load_task(name)
        rollouts = native_rollouts.NativeRollouts(task, PhysicsConfig('mujoco'))
        values = np.array([[task.true_parameters[p.name] for p in task.parameters]])
        model = rollouts.model
        position, speed = np.zeros((1, model.nq)), np.zeros((1, model.nv))
        result = rollouts(values, position, speed, np.zeros((1, 0)), np.ones((1, 2, model.nu)))
        assert result.qpos.shape == (1, 3, model.nq) and np.isfinite(result.qpos).all()
        del rollouts, result


@pytest.mark.parametrize('calls', [[2] * 10, [6, 6, 6]])
def test_models_that_were_long_not_used_are_let_go(pendulum, monkeypatch, calls):
    """At most four stay, or as many as a call needs."""
    alive, edited = weakref.WeakSet(), native_rollouts.edited_model

    def counted(*args):
        model = edited(*args)
        alive.add(model)
        return model

    monkeypatch.setattr(native_rollouts, '_MOST_MODELS', 4)
    monkeypatch.setattr(native_rollouts, 'edited_model', counted)
    simulator = make_simulator(pendulum, PhysicsConfig('mujoco'))
    for i, count in enumerate(calls):
        masses = np.linspace(0.5, 1.5, count) + 0.01 * i
        speeds = step(simulator, masses)
        assert len(alive) <= max(4, count) and len(set(speeds.tolist())) == count


MEASURED = """
import io, sys
from pathlib import Path
import matplotlib.pyplot
from rich.console import Console
from mpq_jax.comparison import baselines
from mpq_jax.report import write_report
from mpq_jax.runs.run_directory import RunDirectory
run = RunDirectory(sys.argv[1])
config = run.read_config()
def peak():  # of this process alone; getrusage begins at what the parent had
    [line] = [line for line in open('/proc/self/status') if line.startswith('VmHWM')]
    return float(line.split()[1]) / 1024
before = peak()
baselines.finish(config, run, Console(file=io.StringIO(), width=200))
write_report(run.path)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/status').exists(), reason='reads Linux counters')
def test_tables_figures_and_report_of_many_seeds_take_little_memory(tmp_path):
    """64 seeds of 700 episodes, every column filled: under 300 MB beyond what is imported."""
    run = RunDirectory(tmp_path / 'run')
    run.create(tiny_config(num_seeds=64, episodes=700))
    numbers = np.random.default_rng(0).normal(size=(700, 64, len(COLUMNS) - 3))
    with open(run.metrics_file, 'w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for episode, seed in np.ndindex(700, 64):
            rows.writerow([0, seed, episode, *numbers[episode, seed]])
    shown = subprocess.run(
        [sys.executable, '-c', MEASURED, str(run.path)], cwd=ROOT, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    megabytes = float(shown.stdout.splitlines()[-1])
    print(f'{megabytes:.0f} MiB')
    assert 10 < megabytes < 300 / 1.048576
