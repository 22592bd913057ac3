"""The smallest systems that show a behaviour, and configs that run in seconds."""

import atexit
import json
import os
import shutil
import tempfile
from importlib.metadata import version
from typing import NamedTuple

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('JAX_TRACEBACK_IN_LOCATIONS_LIMIT', '0')  # a tenth of what lowering takes
# Tests compile much and run little: no optimising, and what one process of the suite compiled
# serves all (workers and the processes that tests start inherit the place).
os.environ['XLA_FLAGS'] = ' '.join(
    [
        os.environ.get('XLA_FLAGS', ''),
        '--xla_backend_optimization_level=0',
        '--xla_llvm_disable_expensive_passes=true',
        '--xla_cpu_parallel_codegen_split_count=1',
        *(['--xla_cpu_use_fusion_emitters=false'] if version('jaxlib') < '0.12' else []),  # gone
    ]
)
if 'JAX_COMPILATION_CACHE_DIR' not in os.environ:
    os.environ['JAX_COMPILATION_CACHE_DIR'] = tempfile.mkdtemp(prefix='mpq_jax_tests_')
    os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
    atexit.register(shutil.rmtree, os.environ['JAX_COMPILATION_CACHE_DIR'], ignore_errors=True)

import jax
import jax.numpy as jnp
import pytest
from matplotlib.figure import Figure
from PIL import Image

import mpq_jax
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.planning import mppi
from mpq_jax.planning.scoring import score
from mpq_jax.tasks import Start, Task, load_task
from mpq_jax.training import assembly

# One step of the linear-quadratic system s' = A s + B a with cost q s^2 / 2 + r a^2 / 2.
LQ = {'A': 0.9, 'B': 1.0, 'q': 1.0, 'r': 0.1}


LQ_FIELDS = {
    'name': 'lq',
    'episode_steps': 10,
    'control_timestep': 0.1,
    'reset': lambda key: Start(jax.random.uniform(key, (1,), minval=-1.0), jnp.zeros(1)),
    'observe': lambda reading, variables: reading.qpos,
    'cost': lambda reading, variables, action: (
        0.5 * LQ['q'] * reading.qpos[0] ** 2 + 0.5 * LQ['r'] * action[0] ** 2
    ),
    'equations': lambda p, qpos, qvel, action: (LQ['A'] * qpos + LQ['B'] * action, qvel),
    'action_size': 1,
}


def lq_task(**changes) -> Task:
    """A scalar linear-quadratic task; noise of deviation 0.2 never meets the action limits."""
    return Task(**(LQ_FIELDS | changes))


def broken_task():
    """Goes on from the one start that the check of a task looks at, and from no other."""
    looked_at = lq_task().reset(jax.random.key(0)).qpos
    return lq_task(
        name='broken',
        equations=lambda p, qpos, qvel, action: (
            jnp.where(jnp.abs(qpos - looked_at) < 1e-6, qpos, jnp.nan), qvel,
        ),
    )  # fmt: skip


def at(simulator, qpos, qvel):
    """A state of a simulator."""
    return simulator.state(Start(jnp.atleast_1d(qpos), jnp.atleast_1d(qvel)))


def tiny_config(**changes):
    """MPQ on the hand-written pendulum: seconds to compile, milliseconds to run."""
    fields = {
        'planner_physics.backend': 'equations',
        'real_physics.backend': 'equations',
        'num_seeds': 2,
        'episodes': 4,
        'planner.horizon': 3,
        'planner.num_samples': 12,
        'belief.num_draws': 4,
        'learner.num_states': 64,
        'learner.minibatch_size': 32,
        'learner.epochs': 2,
        'learner.buffer_capacity': 500,
        'learner.hidden_width': 16,
        'training.checkpoint_interval': 1,
        'training.validation_interval': 2,
        'training.validation_episodes': 1,
    }
    agent = changes.pop('agent', 'mpq')
    if agent == 'softq':
        fields |= {'planner.horizon': 1, 'learner.epochs': 1}
    if agent == 'none':
        fields |= {'planner.horizon': 1, 'planner.num_samples': 1, 'belief.num_draws': 1}
    if changes.get('real_system', 'simulated') != 'simulated':
        fields['training.validation_interval'] = 0
    return mpq_jax.set_fields(mpq_jax.preset('pendulum', agent), fields | changes)


def tiny_lq_config(**changes):
    """The smallest run that learns: ten steps an episode."""
    fields = {
        'task': 'tests.conftest:lq_task',
        'num_seeds': 2,
        'planner.horizon': 2,
        'planner.num_samples': 4,
        'belief.num_draws': 1,
        'learner.num_states': 16,
        'learner.minibatch_size': 8,
        'learner.epochs': 1,
        'learner.buffer_capacity': 25,
        'learner.hidden_width': 4,
        'training.validation_episodes': 0,
    }
    return tiny_config(**(fields | changes))


@pytest.fixture(scope='module', autouse=True)
def programs_once():
    """Runs of a module whose configs differ in seeds and episodes alone share their programs."""
    compiled, alive = {}, []

    def sharing(make):
        def made(batch, *parts):
            programs = make(batch, *parts)
            alive.append(programs)  # the identities below are not given to others
            same = json.dumps({**batch.to_dict(), 'seed': 0, 'episodes': 0})
            key = same, id(programs.agent.simulator), id(programs.real)
            programs.compiler.compiled = compiled.setdefault(key, {})
            return programs

        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembly, 'Programs', sharing(assembly.Programs))
        yield


@pytest.fixture(scope='module', autouse=True)
def blank_figures(request):
    """Drawing takes a second a run: modules that look at figures say `DRAWS = True`."""

    def blank(figure, file, **_):
        Image.new('RGB', (8, 8), 'white').save(file, 'PNG')

    with pytest.MonkeyPatch.context() as patch:
        if not getattr(request.module, 'DRAWS', False):
            patch.setattr(Figure, 'savefig', blank)
        yield


@pytest.fixture(scope='session')
def pendulum():
    return load_task('pendulum')


@pytest.fixture(scope='session')
def equations_pendulum(pendulum):
    return make_simulator(pendulum, PhysicsConfig(backend='equations'))


@pytest.fixture(scope='session')
def mjx_pendulum(pendulum):
    return make_simulator(pendulum, PhysicsConfig(backend='mjx'))


@pytest.fixture(scope='session')
def mjx_step(mjx_pendulum):
    """MJX's control step, compiled once: models, states and actions with one leading axis."""
    return jax.jit(jax.vmap(mjx_pendulum.step))


class Samples(NamedTuple):
    """One batch of MPPI's samples, as its update sees them."""

    noise: jax.Array  # [N, H, nu]
    scores: jax.Array  # [N], the control term included


def sample_plans(config, simulator, terminal_cost, models, state, controls, key):
    """MPPI's samples around a plan, scored."""
    candidates = mppi.sample(config, controls, key)
    costs = score(config, simulator, terminal_cost, models, state, candidates.actions)
    return Samples(candidates.drawn, mppi.update(config, controls, candidates, costs).scores)
