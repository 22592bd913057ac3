"""What the README shows, works as it stands."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mpq_jax
from experiments.robots import file_of
from mpq_jax.runs.metrics import read_table

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text()


def written(code, folder, monkeypatch, module):
    """A module of the user's, in the folder that he runs in."""
    (folder / f'{module}.py').write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)


def test_the_robot_and_the_library_calls_of_the_readme(tmp_path, monkeypatch):
    """Gymnasium's double pendulum is the robot; fewer plans and states than one would take."""
    pytest.importorskip('gymnasium', reason='the test extra is not installed')
    task, calls, _ = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    assert len(task.partition('    return ')[2].splitlines()) <= 10
    robot = file_of('gymnasium', 'envs/mujoco/assets/inverted_double_pendulum.xml')
    (tmp_path / 'my_robot.xml').write_text(Path(robot).read_text())
    written(task, tmp_path, monkeypatch, 'robot')
    small = "{'num_seeds': 1, 'learner.num_states': 64, 'learner.epochs': 1, 'episodes': 2, "
    small += "'planner.num_samples': 12, 'training.validation_episodes': 0, "
    calls = calls.replace("{'episodes': 20, ", small)
    names: dict[str, Any] = {}
    exec(compile(calls, 'README.md', 'exec'), names)
    assert names['action'].shape == (1,) and np.abs(names['action']) <= 1.0
    assert (tmp_path / 'runs' / 'robot' / 'metrics.csv').exists()


def test_the_environment_of_the_readme(tmp_path, monkeypatch):
    pytest.importorskip('gymnasium', reason='the test extra is not installed')
    code = re.findall(r'```python\n(.*?)```', README, re.DOTALL)[2]
    assert len(code.splitlines()) <= 10
    small = "{'num_seeds': 1, 'learner.num_states': 64, 'learner.epochs': 1, 'planner.horizon': 4, "
    small += "'training.validation_episodes': 0, 'episodes': 2, "
    code = code.replace("{'real", f"{small}'real").replace(", 'episodes': 150", '')
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, 'README.md', 'exec'), names)
    own, steps = (
        read_table(names['run'].metrics_file, name) for name in ('own_return', 'env_steps')
    )
    assert (own > 0.0).all()
    assert (own <= 10.0 * np.diff(steps, axis=1, prepend=0.0)).all()  # Gymnasium's most


def test_the_task_by_hand(tmp_path, monkeypatch):
    text = (ROOT / 'mpq_jax' / 'tasks' / 'README.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    written(code, tmp_path, monkeypatch, 'cart')
    config = mpq_jax.set_fields(mpq_jax.preset('cart:make_task', 'mpq'), {'num_seeds': 2})
    run = mpq_jax.train(mpq_jax.set_fields(config, {'episodes': 3}), tmp_path / 'run')
    action = mpq_jax.load_controller(run.path, seed=0).act(qpos=[0.5], qvel=[0.0])
    assert action.shape == (1,) and np.abs(action) <= 1.0


def test_a_real_system_of_ones_own(tmp_path, monkeypatch):
    """Gymnasium's pendulum, from the README of `environments`: its rewards are the run's return."""
    pytest.importorskip('gymnasium', reason='the test extra is not installed')
    text = (ROOT / 'mpq_jax' / 'environments' / 'README.md').read_text()
    (code,) = re.findall(r'```python\n(.*?)```', text, re.DOTALL)
    small = "{'learner.num_states': 64, 'learner.epochs': 1, 'planner.num_samples': 12, "
    small += "'planner_physics.backend': 'equations', "
    code = code.replace("{'real_system'", small + "'real_system'")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(code, 'environments/README.md', 'exec'), names)
    actions = names['run'] and mpq_jax.load_controller(names['run'].path).act([3.0], [0.0])
    assert actions.shape == (1,)
    rewards = []

    class Counted(names['GymnasiumPendulum']):
        def step(self, action):
            rewards.append(self.env.step(2.0 * action)[1])
            return self.measured()

    result = mpq_jax.evaluate(names['run'].path, 1, real_systems=[Counted(5), Counted(6)])
    assert len(rewards) == 400
    total = 2 * result['return']['mean']
    assert np.isclose(total, np.sum(rewards), rtol=0.02)  # ours counts 0.001 u^2 of its own unit


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r'\]\(([^)#:]+)\)', README)
    assert len(links) > 5
    assert [link for link in links if not (ROOT / link).exists()] == []
