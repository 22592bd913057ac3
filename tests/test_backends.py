"""The planner's physics where nobody says which: the faster one here, and the same on resume."""

import json
import re

import jax
import jax.numpy as jnp
import pytest

import mpq_jax
from mpq_jax.benchmarks import small_models
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import backends, compiles_slowly, for_planner, make_simulator, rollout
from mpq_jax.evaluation.loading import load_run
from mpq_jax.training.assembly import make_programs
from tests.conftest import lq_task, tiny_config

WORLD = '<mujoco>{}<worldbody>{}<body><joint name="j" type="slide"/><geom size=".1"/></body>'
MOTOR = '</worldbody><actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>'


def plant(extra='', options=''):
    mjcf = WORLD.format(options, extra) + MOTOR
    return lq_task(mjcf=mjcf, equations=None, action_size=None)


@pytest.mark.parametrize(
    ('task', 'backend'),
    [
        (mpq_jax.load_task('pendulum'), 'mjx'),
        (small_models.make_task('arm'), 'mjx'),
        (mpq_jax.load_task('ball_in_cup'), 'mujoco'),
        (mpq_jax.load_task('franka_drawer'), 'mujoco'),
        (plant(), 'mjx'),  # one body, with nothing to touch
        (plant('<geom type="plane" size="1 1 1"/>'), 'mujoco'),
        (plant('<geom type="plane" size="1 1 1" contype="0" conaffinity="0"/>'), 'mjx'),
        (plant('<body><joint range="-1 1" limited="true"/><geom size="0.1"/></body>'), 'mujoco'),
        (plant('<body><joint range="-1 1" limited="true"/><geom size="0.1"/></body>',
               '<option><flag constraint="disable"/></option>'), 'mjx'),
        (plant('<body><joint/><geom size=".1" contype="0" conaffinity="0"/></body>' * 8), 'mujoco'),
        (lq_task(), 'auto'),  # it has equations alone
    ],
)  # fmt: skip
def test_on_a_cpu_what_a_solver_has_to_do_decides(task, backend):
    assert for_planner(task, PhysicsConfig()).backend == backend
    assert for_planner(task, PhysicsConfig('mjx')).backend == 'mjx'


@pytest.mark.parametrize(
    ('bodies', 'integrator', 'slow'),
    [(2, 'RK4', True), (2, 'Euler', False), (7, 'Euler', True), (0, 'RK4', False)],
)
def test_what_takes_mjx_long_to_compile(bodies, integrator, slow):
    limited = '<body><joint range="-1 1" limited="true"/><geom size="0.1"/></body>'
    task = plant(limited * bodies, f'<option integrator="{integrator}"/>')
    assert compiles_slowly(task, PhysicsConfig('mjx')) == slow


def test_on_an_accelerator_it_is_mjx(monkeypatch):
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    assert for_planner(mpq_jax.load_task('ball_in_cup'), PhysicsConfig()).backend == 'auto'


@pytest.mark.parametrize(('backend', 'calls'), [('mjx', 0), ('mujoco', 1)])
def test_an_mjx_program_never_calls_the_host(pendulum, backend, calls):
    """What native physics does once a rollout, whatever its length."""
    simulator = make_simulator(pendulum, PhysicsConfig(backend))
    state = simulator.state(pendulum.reset(jax.random.key(0)))

    def roll(actions):
        return rollout(simulator, simulator.true_model(), state, actions).costs

    text = jax.jit(roll).lower(jnp.zeros((5, 1))).as_text()
    assert len(re.findall(r'custom_call @\S*callback', text)) == calls


def test_a_run_says_it_and_keeps_it(tmp_path, monkeypatch, capsys):
    config = tiny_config(episodes=1, **{'planner_physics.backend': 'auto'})
    run = mpq_jax.train(config, tmp_path / 'run')
    physics = json.loads(run.manifest_file.read_text())['physics']
    assert physics['planner'].startswith('mjx (straight-line, 9')
    assert physics['real system'] == 'equations' and run.planner_backend == 'mjx'
    assert f'planner on {physics["planner"]}, real system on equations' in capsys.readouterr().out
    monkeypatch.setattr(backends, '_MOST_FREE', 0)  # as where another one is the faster
    assert make_programs(config).agent.simulator.backend == 'mujoco'
    assert load_run(run.path)[0].agent.simulator.backend == 'mjx'
    mpq_jax.train(mpq_jax.set_fields(config, {'episodes': 2}), run.path, resume=True)
    manifest = json.loads(run.manifest_file.read_text())
    del manifest['planner_backend']  # from before it was recorded
    run.manifest_file.write_text(json.dumps(manifest))
    assert run.planner_backend == 'jax'
    run.manifest_file.unlink()  # killed before it had one: begun anew as it would have been
    monkeypatch.undo()
    mpq_jax.train(mpq_jax.set_fields(config, {'episodes': 3}), run.path, resume=True)
    assert run.planner_backend == 'mjx'
