"""Physics written out number by number are the arrays' physics."""

import dataclasses

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.benchmarks import small_models
from mpq_jax.config import PhysicsConfig
from mpq_jax.dynamics import all_finite, make_simulator, rollout
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.dynamics.straight_line import straight_line, written_out
from mpq_jax.tasks import Start

KEY = jax.random.key(0)


def assert_close(got, want, tolerance=2e-5):
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert one.shape == other.shape and one.dtype == other.dtype
        scale = max(1.0, np.abs(np.asarray(other)).max(initial=0.0))
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance * scale)


def both(task, **fields):
    """Simulators on arrays and straight-line."""
    physics = [PhysicsConfig('mjx', straight_line=form, **fields) for form in ('off', 'on')]
    return [make_simulator(task, each) for each in physics]


def somewhere(simulator, count):
    """Random models, states that were moved a little from their starts, and actions."""
    task, keys = simulator.task, jax.random.split(KEY, 4)
    starts = jax.vmap(lambda key: simulator.state(task.reset(key)))(
        jax.random.split(keys[0], count)
    )
    pushed = starts.qvel + 0.3 * jax.random.normal(keys[1], starts.qvel.shape)
    actions = jax.random.uniform(keys[2], (count, simulator.action_size), minval=-1.0)
    models = simulator.make_models(draw_parameters(task, keys[3], count))
    return models, starts._replace(qvel=pushed), actions


def test_a_step_is_that_of_mjx(pendulum):
    """On random states of randomised models."""
    arrays, straight = both(pendulum)
    assert straight.form.startswith('straight-line') and arrays.form == 'arrays'
    case = somewhere(arrays, 6)
    want = jax.jit(jax.vmap(arrays.step))(*case)
    assert_close(jax.jit(jax.vmap(straight.step))(*case), want)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['ball_in_cup', 'fetch_push', 'franka_drawer'])
def test_a_step_among_contacts_is_that_of_mjx(name):
    """One physics step, operation by operation: XLA takes minutes to compile so many."""
    task = mpq_jax.load_task(name)
    arrays, straight = both(task, timestep=task.control_timestep)
    model, state, action = jax.tree.map(lambda x: x[0], somewhere(arrays, 1))
    want = jax.jit(arrays.step)(model, state, action)
    with jax.disable_jit():
        got = straight.step(model, state, action)
    assert_close(got, want, 1e-3)


def test_a_constraint_solvers_loop_is_that_of_native_mujoco():
    """A cart that runs into the limit of its rail."""
    task = small_models.make_task('cartpole')
    limited = task.mjcf.replace('constraint="disable" ', '').replace(
        'name="j0" type="slide"', 'name="j0" type="slide" limited="true" range="-0.1 0.1"'
    )
    straight = make_simulator(
        dataclasses.replace(task, mjcf=limited), PhysicsConfig('mjx', straight_line='on')
    )
    assert straight.form.endswith('and a loop')
    model = mujoco.MjModel.from_xml_string(limited)
    data = mujoco.MjData(model)
    data.qpos, data.qvel = (0.095, 0.3), (1.0, -0.5)
    state = straight.state(Start(jnp.array(data.qpos), jnp.array(data.qvel)))
    step = jax.jit(straight.step)
    for _ in range(6):
        state, _ = step(straight.true_model(), state, jnp.zeros(1))
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(state.qpos, data.qpos, atol=1e-4)
        np.testing.assert_allclose(state.qvel, data.qvel, atol=2e-3)
    assert data.qvel[0] < 0.1  # the limit stopped it


@pytest.mark.parametrize(
    ('name', 'integrator'),
    [('cartpole', 'Euler'), ('reacher', 'implicitfast'), ('acrobot', 'RK4')],
)
def test_small_models_move_as_in_native_mujoco(name, integrator):
    """Nine physics steps, in double precision there."""
    task = small_models.make_task(name, integrator)
    straight = make_simulator(task, PhysicsConfig('mjx', straight_line='on'))
    _, states, actions = somewhere(straight, 3)
    step = jax.jit(jax.vmap(straight.step, (None, 0, 0)))
    after = states
    for _ in range(9):
        after, _ = step(straight.true_model(), after, actions)
    model = mujoco.MjModel.from_xml_string(task.mjcf)
    for i in range(3):
        data = mujoco.MjData(model)
        data.qpos, data.qvel, data.ctrl = states.qpos[i], states.qvel[i], actions[i]
        mujoco.mj_step(model, data, 9)
        np.testing.assert_allclose(after.qpos[i], data.qpos, atol=1e-4)
        np.testing.assert_allclose(after.qvel[i], data.qvel, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize('value', [np.nan, np.inf])
@pytest.mark.parametrize('name', ['pendulum', 'acrobot'])
def test_what_is_not_finite_does_not_come_back(name, value):
    """Though 0 x counts as 0 whatever x is: wherever in the state it stands."""
    task = small_models.make_task(name) if name != 'pendulum' else mpq_jax.load_task(name)
    _, straight = both(task)
    step, state = jax.jit(straight.step), straight.state(task.reset(KEY))
    for field in ('qpos', 'qvel'):
        for i in range(getattr(state, field).shape[0]):
            broken = state._replace(**{field: getattr(state, field).at[i].set(value)})
            after, _ = step(straight.true_model(), broken, jnp.zeros(straight.action_size))
            assert not all_finite(after) or (name == 'pendulum' and field == 'qvel')


def test_it_is_batched_scanned_and_differentiated(pendulum, equations_pendulum):
    """Costs of random actions and their gradients, against the equations written by hand."""
    straight = make_simulator(pendulum, PhysicsConfig('mjx', straight_line='on'))
    state = straight.state(pendulum.reset(KEY))
    actions = jax.random.uniform(KEY, (3, 6, 1), minval=-1.0)

    def gradients(simulator):
        def cost(actions):
            return rollout(simulator, simulator.true_model(), state, actions).costs.sum()

        return jax.jit(jax.vmap(jax.value_and_grad(cost)))(actions)

    assert_close(gradients(straight), gradients(equations_pendulum), 1e-3)


def test_only_what_gains_is_written_out(pendulum):
    """By itself where no loop is left and there are few operations; on and off as one says."""
    assert make_simulator(pendulum, PhysicsConfig('mjx')).form.startswith('straight-line, 9')
    ball = mpq_jax.load_task('ball_in_cup')
    assert make_simulator(ball, PhysicsConfig('mjx')).form == 'arrays'
    assert make_simulator(pendulum, PhysicsConfig('mjx', straight_line='off')).form == 'arrays'
    runge_kutta = make_simulator(small_models.make_task('cartpole', 'RK4'), PhysicsConfig('mjx'))
    assert runge_kutta.form == 'straight-line, 511 operations'
    with pytest.raises(ConfigError, match=r'planner_physics\.straight_line = .yes.'):
        mpq_jax.set_fields(mpq_jax.preset(), {'planner_physics.straight_line': 'yes'}).validate()


def turned(x, y):
    """Structure: what only moves numbers about."""
    stacked = jnp.stack([x, y], axis=1).reshape(2, 4)[::-1].T
    padded = jax.lax.pad(stacked, jnp.float32(2.0), [(1, 2, 1), (0, 1, 0)])
    one, two = jnp.split(padded, [3], axis=0)
    return jnp.tile(one, (2, 1)), two[..., 0], jnp.roll(x, 1), jnp.broadcast_to(y[:, None], (4, 2))


def indexed(x, y):
    table = jnp.outer(x, y)
    inside = table.at[jnp.array([0, 3]), jnp.array([1, 1])].add(y[:2]).at[2].set(7.0)
    scaled = inside.at[jnp.array([1, 1])].multiply(x).at[0, 0].max(5.0).at[9].set(1.0)
    moving = jax.lax.dynamic_slice(table, (jnp.argmax(x), 0), (1, 4))
    put = jax.lax.dynamic_update_slice(table, y[None], (2, 0))
    return inside, scaled, table[jnp.array([3, 0])], moving, put


def reduced(x, y):
    table = jnp.outer(x, y) + jnp.eye(4)
    both_ways = jnp.cumsum(table, 0), jax.lax.cumsum(x, reverse=True), jnp.cumprod(y)
    batch = jnp.einsum('bij,bjk->bik', jnp.stack([table, -table]), jnp.stack([table.T, table]))
    return both_ways, batch, table.max(0), table.min(), (table > 0).all(1), table.prod(), x @ table


def solved(x, y):
    """Factorisations, from every side."""
    matrix = jnp.outer(x, x) + jnp.diag(1.0 + y**2)
    factor = jnp.linalg.cholesky(matrix)
    solve = jax.lax.linalg.triangular_solve
    given = jnp.stack([x, y], axis=1)
    sides = [
        solve(a, b, left_side=left, lower=lower, transpose_a=transpose)
        for a, lower in ((factor, True), (factor.T, False))
        for left, b in ((True, given), (False, given.T))
        for transpose in (False, True)
    ]
    return factor, sides, solve(factor, given, left_side=True, lower=True, unit_diagonal=True)


def chosen(x, y):
    """Branches and loops: of known length, short and long, and of unknown length."""
    branch = jax.lax.switch(jnp.int32(x[0] > 0) + 1, [jnp.sin, jnp.cos, lambda v: v * y], x)
    known = jax.lax.cond(True, jnp.exp, jnp.sin, y)
    short = jax.lax.scan(lambda c, row: (c * row + y[0], c), x[0], y, reverse=True)
    long = jax.lax.fori_loop(0, 30, lambda i, c: (0.9 * c[0] + c[1], c[1]), (x, y))
    count, grown, fixed = jax.lax.while_loop(
        lambda c: c[1].sum() < 10.0, lambda c: (c[0] + 1, c[1] * 1.3 + c[2] ** 2, c[2]),
        (0, jnp.abs(x), y),
    )  # fmt: skip
    return branch, known, short, long, count, grown, fixed


def left_alone(x, y):
    """What cannot be taken apart goes through as it is."""
    last = jnp.linalg.eigvalsh(jnp.outer(x, x)).sum()
    return jnp.sort(x * y), jax.lax.top_k(y, 2), jnp.take(x, jnp.argmin(y)), last


@pytest.mark.parametrize('fn', [turned, indexed, reduced, solved, chosen, left_alone])
def test_every_primitive_computes_what_it_did(fn):
    x, y = jnp.array([0.4, -1.1, 0.7, 0.2]), jnp.array([1.3, 0.5, -0.6, 0.9])
    straight = straight_line(fn, x, y)
    assert (straight.calls > 0) is (fn is left_alone)
    assert_close(jax.jit(straight)(x, y), fn(x, y))
    many = jnp.stack([x, y, -x]), jnp.stack([y, x, y])
    assert_close(jax.jit(jax.vmap(straight))(*many), jax.vmap(fn)(*many))


def test_what_is_known_or_said_twice_is_not_computed():
    def wordy(x):
        zero = x[0] - x[0]
        return 1.0 * x[0] * x[1] + zero * x[1] + x[1] * x[0] + jnp.sin(jnp.float32(0.5)) * 0.0

    assert straight_line(wordy, jnp.zeros(2)).operations == 2  # a product, twice added


def test_an_effect_is_not_moved():
    def talks(x):
        jax.debug.print('{}', x)
        return x

    with pytest.raises(ValueError, match='effect'):
        straight_line(talks, jnp.zeros(1))
    assert written_out(talks, 'auto', jnp.zeros(1)).description == 'arrays'
    with pytest.raises(TaskError, match=r"straight_line cannot be 'on'.*effect"):
        written_out(talks, 'on', jnp.zeros(1))
