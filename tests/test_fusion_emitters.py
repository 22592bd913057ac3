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
from mpq_jax.dynamics.straight_line import choice, written_out
from mpq_jax.environments import stepwise
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


def looping(x):
    return jax.lax.while_loop(lambda x: x < 3.0, lambda x: x + 1.0, x * x + 0.5)


def test_a_few_operations_with_a_loop_gain(monkeypatch):
    """Neither arrays, nor a step without a loop, nor one of many operations."""

    def wanted(step, form):
        return written_out(step, form, jnp.float32(1.0)).fusion_emitters

    assert wanted(looping, 'on') is True
    assert [wanted(looping, 'off'), wanted(looping, 'auto'), wanted(jnp.sin, 'on')] == [False] * 3
    monkeypatch.setattr(choice, 'MOST_OPERATIONS', 1)
    assert wanted(looping, 'on') is False


def test_which_simulators_gain():
    forms = 'on', 'off'
    assert [simulator(limited(), form).fusion_emitters for form in forms] == [True, False]
    assert simulator(small_models.make_task('cartpole'), 'on').fusion_emitters is False
    assert make_simulator(limited(), PhysicsConfig('mujoco')).fusion_emitters is None


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


def recording(seen, result):
    """In the place of `compile`: notes by name what was asked for, and gives `result(fn, args)`."""

    def recorded(fn, *args, name, fusion_emitters=False, **_):
        seen[name] = fusion_emitters
        return CompiledFunction(name, lambda *_: result(fn, args), 0.0, 0)

    return recorded


@pytest.mark.parametrize('forms', [('on', 'off'), ('off', 'on'), ('on', 'native')])
def test_programs_of_a_run(monkeypatch, forms):
    """The planner's physics are in all that plan, the real system's in episodes alone."""
    fields = {'task': 'tests.test_fusion_emitters:limited', 'num_seeds': 1}
    for which, form in zip(('planner', 'real'), forms, strict=True):
        native = form == 'native'
        fields[f'{which}_physics.backend'] = 'mujoco' if native else 'jax'
        fields[f'{which}_physics.straight_line'] = 'auto' if native else form
    programs = assembly.make_programs(tiny_config(**fields))
    state, asked = programs.state_shapes(), {}
    monkeypatch.setattr(layout, 'compile', recording(asked, lambda fn, args: ((), ())))
    programs.initial_state()
    programs.collect(state, 0)
    programs.learn(state, 0)
    programs.play('test', state, (), [0])
    planned, all_of_it = forms[0] == 'on', 'off' not in forms
    wanted = {'init': False, 'collect': all_of_it, 'learn': planned, 'play test 1': all_of_it}
    assert asked == wanted


@pytest.mark.parametrize('form', ['on', 'off'])
def test_the_program_that_plans_for_a_driven_system(monkeypatch, form):
    """Which is native MuJoCo here; nothing but the planner's physics is in it."""
    fields = {
        'task': 'tests.test_fusion_emitters:limited', 'num_seeds': 1, 'real_system': 'mujoco',
        'real_physics.backend': 'auto',
        'planner_physics.backend': 'jax', 'planner_physics.straight_line': form,
    }  # fmt: skip
    programs, asked = assembly.make_programs(tiny_config(**fields)), {}

    def ends(fn, args):
        raise InterruptedError

    monkeypatch.setattr(stepwise, 'compile', recording(asked, ends))
    with pytest.raises(InterruptedError):
        programs.collect(programs.initial_state(), 0)
    assert asked == {'act 1': form == 'on'}


@pytest.mark.parametrize('form', ['on', 'off'])
def test_a_controllers_program(monkeypatch, form):
    def zeros(fn, args):
        shapes = jax.eval_shape(fn, *args)
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    asked = {}
    monkeypatch.setattr(controller, 'compile', recording(asked, zeros))
    config, physics = tiny_config(agent='mppi'), simulator(limited(), form)
    models = jax.tree.map(lambda x: x[None], physics.true_model())
    controller.Controller(config.planner, make_agent(config, physics, None), (), models)
    assert asked == {'reset': False, 'act': form == 'on'}


def test_costs_are_the_same_to_rounding():
    """A batch of plans that run into the end of the rail."""
    physics = simulator(limited(), 'on')
    state = physics.state(mpq_jax.Start(jnp.array([0.095, 0.3]), jnp.array([1.0, -0.5])))
    actions = jax.random.uniform(jax.random.key(0), (8, 5, 1), minval=-1.0)

    def costs(actions):
        one = jax.vmap(lambda plan: rollout(physics, physics.true_model(), state, plan))
        return one(actions).costs

    compiled = [mpq_jax.compile(costs, actions, fusion_emitters=on) for on in (False, True)]
    without, with_them = (program(actions) for program in compiled)
    np.testing.assert_allclose(with_them, without, rtol=1e-4, atol=1e-5)
    assert np.ptp(without[:, -1]) > 1e-3
