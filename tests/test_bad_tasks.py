"""What a user's task can have wrong: each error names the task, the function and what is wanted."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.tasks import TASKS, RandomizedParameter, Start
from mpq_jax.tasks.check import check_task
from tests.conftest import lq_task

CART = """
<mujoco>
  <option timestep="0.02"/>
  <worldbody>
    <body name="cart"><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1" mass="2"/></body>
  </worldbody>
  <actuator><motor name="push" joint="x" ctrllimited="true" ctrlrange="-1 1"/></actuator>
  <sensor><jointpos name="where" joint="x"/><jointvel name="speed" joint="x"/></sensor>
</mujoco>
"""
MASS = RandomizedParameter('mass', 2.0, 1.0, 3.0)


def set_mass(model, values):
    model.body('cart').mass[:] = values['mass']


def cart(**changes):
    """A sound task on MuJoCo, and its misuses."""
    fields = {
        'name': 'cart', 'mjcf': CART, 'equations': None, 'action_size': None,
        'cost': lambda reading, variables, action: reading.sensors['where'][0] ** 2,
    }  # fmt: skip
    return lq_task(**(fields | changes))


def with_equations(**changes):
    return lq_task(**({'name': 'cart'} | changes))


def with_mass(**changes):
    return cart(**({'parameters': (MASS,), 'set_parameters': set_mass} | changes))


def ending(**changes):
    fields = {
        'terminated': lambda reading, variables: reading.qpos[0] > 9.0,
        'terminal_cost': mpq_jax.cost_to_go(1.0, 0.9),
    }
    return cart(**(fields | changes))


def if_in_cost(reading, variables, action):
    if reading.qpos[0] > 0:
        return reading.qpos[0]
    return -reading.qpos[0]


def stepped(model, values):
    set_mass(model, values)
    model.opt.timestep = 0.001


def unlimited(actuator):
    before, after = CART.split('<actuator>')
    return before + '<actuator>' + actuator + '</actuator>' + after.split('</actuator>')[1]


drawn = np.random.default_rng(0)
zeros = jnp.zeros(1)
# What is wrong, the task, the function or field that is named, what is said.
MISUSES = [
    ('reset: a tuple', lambda: cart(reset=lambda key: (zeros, zeros)), 'reset',
     'a tuple.* a Start'),
    ('reset: qpos too long', lambda: cart(reset=lambda key: Start(jnp.zeros(2), zeros)), 'reset',
     r'shape \[2\].* qpos \[1\]'),
    ('reset: qvel scalar', lambda: with_equations(reset=lambda key: Start(zeros, jnp.array(0.0))),
     'reset', r'shape \[\].*its qvel'),
    ('reset: a list', lambda: cart(reset=lambda key: Start([0.0], zeros)), 'reset', 'a list'),
    ('reset: whole numbers', lambda: cart(reset=lambda key: Start(jnp.zeros(1, int), zeros)),
     'reset', 'type int32'),
    ('reset: nan', lambda: cart(reset=lambda key: Start(zeros * jnp.nan, zeros)), 'reset',
     'finite'),
    ('reset: numpy.random', lambda: cart(reset=lambda key: Start(zeros + drawn.normal(), zeros)),
     'reset', 'two different starts for one key'),
    ('reset: numpy.random array', lambda: cart(
        reset=lambda key: Start(jnp.asarray(drawn.normal(size=1), jnp.float32), zeros)),
     'reset', 'two different starts for one key'),
    ('reset: no key', lambda: cart(reset=lambda: Start(zeros, zeros)), 'reset',
     r'must take \(key\)'),
    ('reset: float', lambda: cart(reset=lambda key: Start(
        zeros + float(jax.random.uniform(key)), zeros)), 'reset', 'use jax.numpy'),
    ('reset: a goal that is a string', lambda: cart(reset=lambda key: Start(zeros, zeros, 'left')),
     'reset', "class 'str'"),
    ('observe: scalar', lambda: cart(observe=lambda r, v: r.qpos[0]), 'observe', r'shape \[\]'),
    ('observe: 2-D', lambda: cart(observe=lambda r, v: r.qpos[None]), 'observe', r'shape \[1, 1\]'),
    ('observe: list', lambda: cart(observe=lambda r, v: [r.qpos[0]]), 'observe', 'a list'),
    ('observe: nan', lambda: cart(observe=lambda r, v: jnp.log(r.qpos - 9)), 'observe', 'finite'),
    ('cost: [1]', lambda: cart(cost=lambda r, v, a: r.qpos**2), 'cost',
     r'shape \[1\].* shape \[\]'),
    ('cost: int', lambda: cart(cost=lambda r, v, a: 1), 'cost', '1, a Python int'),
    ('cost: int array', lambda: cart(cost=lambda r, v, a: jnp.array(1)), 'cost', 'type int32'),
    ('cost: None', lambda: cart(cost=lambda r, v, a: None), 'cost',
     'None: it must return a finite'),
    ('cost: nan', lambda: cart(cost=lambda r, v, a: jnp.log(-1 - r.qpos[0] ** 2)), 'cost',
     'nan at a start'),
    ('cost: inf', lambda: cart(cost=lambda r, v, a: 1 / jnp.minimum(jnp.abs(r.qpos[0]), 0.0)),
     'cost', 'inf at a start'),
    ('cost: inf later', lambda: with_equations(
        cost=lambda r, v, a: jnp.where(r.qvel[0] > 0, jnp.inf, 0.0),
        equations=lambda p, qpos, qvel, action: (qpos, qvel + 1)), 'cost',
     'one control step after'),
    ('cost: two arguments', lambda: cart(cost=lambda r, v: r.qpos[0]), 'cost',
     r'must take \(reading, variables, action\)'),
    ('cost: np.sin', lambda: cart(cost=lambda r, v, a: np.sin(r.qpos[0])), 'cost',
     'test_bad_tasks.py.*use jax.numpy'),
    ('cost: np.linalg.norm', lambda: cart(cost=lambda r, v, a: np.linalg.norm(r.qpos)), 'cost',
     'use jax.numpy'),
    ('cost: if', lambda: cart(cost=if_in_cost), 'cost', 'jnp.where in the place of if'),
    ('cost: float', lambda: cart(cost=lambda r, v, a: float(r.qpos[0])), 'cost', 'float'),
    ('cost: no such sensor', lambda: cart(cost=lambda r, v, a: r.sensors['tip'][0]), 'cost',
     "'tip'.*the sensors there are: where, speed"),
    ('cost: no sensors', lambda: with_equations(cost=lambda r, v, a: r.sensors['tip'][0]), 'cost',
     'none with a name'),
    ('cost: no such index', lambda: cart(cost=lambda r, v, a: r.qpo[0]), 'cost', "'qpo'"),
    ('success: float', lambda: cart(success=lambda r, v: r.qpos[0]), 'success',
     'type float32.*jnp.array.True'),
    ('success: Python bool', lambda: cart(success=lambda r, v: True), 'success',
     'True, a Python bool'),
    ('success: [1]', lambda: cart(success=lambda r, v: r.qpos > 0), 'success', r'shape \[1\]'),
    ('terminated: Python bool', lambda: ending(terminated=lambda r, v: False), 'terminated',
     'False, a Python bool'),
    ('terminated: no terminal_cost', lambda: ending(terminal_cost=None), 'terminal_cost',
     r'cheapest way.*mpq_jax\.cost_to_go.*mpq_jax\.alive_bonus'),
    ('terminal_cost: not terminated', lambda: ending(terminated=None), 'terminal_cost',
     'terminated'),
    ('terminal_cost: [1]', lambda: ending(terminal_cost=lambda r, v: r.qpos), 'terminal_cost',
     r'shape \[1\]'),
    ('terminal_cost: inf', lambda: ending(terminal_cost=lambda r, v: r.qpos[0] * 0 + jnp.inf),
     'terminal_cost', 'finite'),
    ('control: too short', lambda: cart(control=lambda q, v, a: a[..., :0]), 'control',
     r'shape \[0\].*\[nu\], here \[1\]'),
    ('control: from the left', lambda: cart(control=lambda q, v, a: a[0] * q), 'control', 'batch'),
    ('control: jnp', lambda: cart(control=lambda q, v, a: jnp.sin(a)), 'control', 'JAX array'),
    ('control: nan', lambda: cart(control=lambda q, v, a: a * float('nan')), 'control', 'finite'),
    ('after_physics_step: one', lambda: cart(after_physics_step=lambda q, v, t: q),
     'after_physics_step', r'\(qpos, qvel\)'),
    ('after_physics_step: shape', lambda: cart(after_physics_step=lambda q, v, t: (q, v[..., :0])),
     'after_physics_step', r'\(qpos, qvel\)'),
    ('equations: one', lambda: with_equations(equations=lambda p, q, v, a: q), 'equations',
     r'\(qpos, qvel\)'),
    ('equations: shape', lambda: with_equations(equations=lambda p, q, v, a: (q, v[0])),
     'equations', r'\(qpos, qvel\)'),
    ('equations: inf', lambda: with_equations(equations=lambda p, q, v, a: (q / (0 * q), v)),
     'equations', 'finite'),
    ('equations: arguments', lambda: with_equations(equations=lambda q, v, a: (q, v)), 'equations',
     r'must take \(parameters, qpos, qvel, action\)'),
    ('set_parameters: missing', lambda: with_mass(set_parameters=None), 'set_parameters', ''),
    ('set_parameters: no parameters', lambda: with_mass(parameters=()), 'set_parameters',
     'no parameters'),
    ('set_parameters: unknown body', lambda: with_mass(
        set_parameters=lambda model, values: model.body('wagon')), 'set_parameters',
     "KeyError.*wagon.*mass = 2"),
    ('set_parameters: nothing', lambda: with_mass(set_parameters=lambda model, values: None),
     'set_parameters', r'changes nothing.*mass = 1\.0 and 3\.0'),
    ('set_parameters: timestep', lambda: with_mass(set_parameters=stepped), 'set_parameters',
     'time step'),
    ('parameters: negative mass', lambda: with_mass(parameters=(MASS._replace(low=-1.0),)),
     'set_parameters', r"body_mass of body 'cart'.* above 0 .*mass = -1"),
    ('parameters: low > high', lambda: with_mass(parameters=(MASS._replace(low=4.0),)),
     'parameters', "'mass'.*low at most high"),
    ('parameters: twice', lambda: with_mass(parameters=(MASS, MASS)), 'parameters',
     "'mass' more than once"),
    ('no steps', lambda: cart(episode_steps=0), 'episode_steps', '1 or more'),
    ('no time', lambda: cart(control_timestep=0.0), 'control_timestep', 'above 0'),
    ('no plant', lambda: cart(mjcf=None), 'plant', 'an MJCF or equations'),
    ('no actuator', lambda: cart(mjcf=unlimited('')), 'actuators', 'no actuators'),
    ('an unnamed actuator', lambda: cart(mjcf=unlimited('<motor joint="x"/>')), 'actuators',
     r'number 0 \(unnamed\) have no ctrlrange'),
    ('a named actuator', lambda: cart(mjcf=unlimited('<motor name="push" joint="x"/>')),
     'actuators', "'push' have no ctrlrange"),
    ('a range switched off', lambda: cart(
        mjcf=unlimited('<motor name="push" joint="x" ctrllimited="false" ctrlrange="-1 1"/>')),
     'actuators', "'push' have a ctrlrange that ctrllimited=.false. switches off"),
]  # fmt: skip


@pytest.mark.parametrize(
    ('make', 'function', 'message'),
    [case[1:] for case in MISUSES],
    ids=[case[0] for case in MISUSES],
)
def test_a_task_that_cannot_be_used(make, function, message):
    with pytest.raises(TaskError, match=f'(?s){message}') as error:
        check_task(make())
    assert "task 'cart'" in str(error.value) and function in str(error.value)


@pytest.mark.parametrize(
    'make', [cart, with_equations, with_mass, ending, lq_task, *TASKS.values()]
)
def test_a_sound_task_passes(make):
    """Having been looked at, and once: nothing of it is called again."""
    assert calls_of_cost(make()) == (True, False)


def test_what_is_allowed():
    """A parameter that is known, MuJoCo's own functions of control, a task's own variables."""
    for task in (
        with_mass(parameters=(MASS._replace(low=2.0, high=2.0),)),
        cart(control=lambda qpos, qvel, action: qpos[..., :1] + 0.1 * action),
        cart(reset=lambda key: Start(zeros, zeros, {'goal': jax.random.normal(key, (3,))})),
    ):
        assert calls_of_cost(task) == (True, False)


def calls_of_cost(task):
    """Whether a first check of a task calls its cost, and whether a second one does."""
    calls = []

    def cost(*arguments):
        calls.append(arguments)
        return task.cost(*arguments)

    counted, called = dataclasses.replace(task, cost=cost), []
    for _ in range(2):
        before = len(calls)
        check_task(counted)
        called.append(len(calls) > before)
    return tuple(called)
