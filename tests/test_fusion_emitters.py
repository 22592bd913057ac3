"""Which programs XLA's CPU fusion emitters compile: those whose physics gain, and no others."""

import dataclasses
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import compilation
from mpq_jax.base.compilation import CompiledFunction
from mpq_jax.benchmarks import small_models
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import make_simulator, rollout, with_emitters
from mpq_jax.dynamics.straight_line import choice
from mpq_jax.evaluation import controller
from mpq_jax.planning.agent import make_agent
from mpq_jax.training import assembly, layout
from tests.conftest import tiny_config

OPTION = 'xla_cpu_use_fusion_emitters'


@functools.cache
def limited():
    """A cart on a rail that ends: MJX's solver has something to do."""
    task = small_models.make_task('cartpole')
    mjcf = task.mjcf.replace('constraint="disable" ', '').replace(
        'name="j0" type="slide"', 'name="j0" type="slide" limited="true" range="-0.1 0.1"'
    )
    return dataclasses.replace(task, mjcf=mjcf, episode_steps=2)


@functools.cache
def simulator(task, form):
    return make_simulator(task, PhysicsConfig('mjx', straight_line=form))


def test_only_a_few_operations_with_a_loop_gain(monkeypatch):
    """Neither arrays, nor a step without a loop, nor one of many operations."""
    free, task = small_models.make_task('cartpole'), limited()
    assert simulator(task, 'on').fusion_emitters is True
    for other in (simulator(task, 'off'), simulator(task, 'auto'), simulator(free, 'on')):
        assert other.fusion_emitters is False
    assert make_simulator(task, PhysicsConfig('mujoco')).fusion_emitters is None
    monkeypatch.setattr(choice, 'MOST_OPERATIONS', 10)
    assert make_simulator(task, PhysicsConfig('mjx', straight_line='on')).fusion_emitters is False


@pytest.mark.parametrize(
    ('physics', 'wanted'),
    [((True,), True), ((True, None), True), ((True, False), False), ((None,), False), ((), False)],
)
def test_a_program_has_them_where_all_of_its_physics_gain(physics, wanted):
    """Native MuJoCo is not XLA's to compile, and has no say."""
    assert with_emitters(*(types.SimpleNamespace(fusion_emitters=f) for f in physics)) is wanted


@pytest.mark.skipif(not compilation.accepts_cpu_options(), reason='jaxlib 0.12 has no such option')
def test_the_option_is_what_was_asked_for():
    lowered = types.SimpleNamespace(compile=lambda compiler_options: compiler_options)
    with_them, without = (compilation._compile(lowered, asked) for asked in (True, False))
    assert with_them == without | {OPTION: True} and without[OPTION] is False


@pytest.fixture
def asked(monkeypatch):
    """What programs were compiled with, by name; they give zeros."""
    seen = {}

    def recorded(fn, *args, name='', fusion_emitters=False, **_):
        seen[name] = fusion_emitters
        shapes = jax.eval_shape(fn, *args)
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return CompiledFunction(name, lambda *_: zeros, 0.0, 0)

    for module in (layout, controller):
        monkeypatch.setattr(module, 'compile', recorded)
    return seen


@pytest.mark.parametrize('forms', [('on', 'on'), ('on', 'off'), ('off', 'on'), ('on', 'native')])
def test_programs_of_a_run(asked, forms):
    """The planner's physics are in all that plan, the real system's in episodes alone."""
    fields = {'task': 'tests.test_fusion_emitters:limited', 'num_seeds': 1}
    for which, form in zip(('planner', 'real'), forms, strict=True):
        native = form == 'native'
        fields[f'{which}_physics.backend'] = 'mujoco' if native else 'jax'
        fields[f'{which}_physics.straight_line'] = 'auto' if native else form
    programs = assembly.make_programs(tiny_config(**fields))
    state = programs.initial_state()
    programs.collect(state, 0)
    programs.learn(state, 0)
    programs.play('test', state, programs.algorithm.params(state), [0])
    planned, all_of_it = forms[0] == 'on', 'off' not in forms
    wanted = {'init': False, 'collect': all_of_it, 'learn': planned, 'play test 1': all_of_it}
    assert asked == wanted


@pytest.mark.parametrize('form', ['on', 'off'])
def test_a_controllers_program(asked, form):
    config, physics = tiny_config(agent='mppi'), simulator(limited(), form)
    models = jax.tree.map(lambda x: x[None], physics.true_model())
    controller.Controller(config.planner, make_agent(config, physics, None), (), models)
    assert asked == {'reset': False, 'act': form == 'on'}


def test_costs_are_the_same_to_rounding():
    """A batch of plans of which some run into the end of the rail."""
    physics = simulator(limited(), 'on')
    state = physics.state(mpq_jax.Start(jnp.array([0.05, 0.3]), jnp.zeros(2)))
    actions = jax.random.uniform(jax.random.key(0), (8, 5, 1), minval=-1.0)

    def costs(actions):
        one = jax.vmap(lambda plan: rollout(physics, physics.true_model(), state, plan))
        return one(actions).costs

    compiled = [mpq_jax.compile(costs, actions, fusion_emitters=on) for on in (False, True)]
    without, with_them = (program(actions) for program in compiled)
    np.testing.assert_allclose(with_them, without, rtol=1e-4, atol=1e-5)
    assert np.ptp(without[:, -1]) > 1e-3
