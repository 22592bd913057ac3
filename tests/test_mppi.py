"""The planner against plain NumPy, and its limits."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.randomization import draw_parameters
from mpq_jax.planning import mppi, noise
from mpq_jax.planning.free_energy import free_energy
from mpq_jax.planning.free_energy import weights as weights_of
from mpq_jax.planning.planner import Candidates
from mpq_jax.suite.pendulum import wrap
from tests.conftest import at, lq_task, sample_plans

CONFIG = PlannerConfig(horizon=5, num_samples=12, temperature=0.7)
CONTROLS = jnp.array([[0.3], [-0.2], [1.4], [0.0], [-0.8]])  # one mean lies outside the limits


def terminal_cost(reading, variables, action):
    """Anything smooth, in the place of Q."""
    return 3.0 * jnp.cos(reading.qpos[0]) + reading.qvel[0] * action[0]


def numpy_plan(config, parameters, noise, controls, start):
    """MPPI as in the paper, written out: scores, weights, new controls."""
    mass, length = parameters['mass'], parameters['length']
    count, horizon = noise.shape
    scores = np.zeros(count)
    for n in range(count):
        m, rod = mass[n % len(mass)], length[n % len(length)]
        theta, speed = start
        for t in range(horizon):
            action = min(max(controls[t] + noise[n, t], -1.0), 1.0)
            if t < horizon - 1:
                angle = (theta + np.pi) % (2 * np.pi) - np.pi
                scores[n] += config.discount**t * (angle**2 + 0.1 * speed**2)
                speed += 0.05 * (15.0 / rod * np.sin(theta) + 3.0 / (m * rod**2) * 2.0 * action)
                speed = min(max(speed, -8.0), 8.0)
                theta += 0.05 * speed
            else:
                scores[n] += config.discount**t * (3.0 * np.cos(theta) + speed * action)
            kl = controls[t] * (controls[t] + 2 * noise[n, t]) / config.noise_variance
            scores[n] += config.control_discount**t * config.temperature * 0.5 * kl
    weights = np.exp(-(scores - scores.min()) / config.temperature)
    weights /= weights.sum()
    return scores, weights, controls + config.step_size * weights @ noise


@pytest.mark.parametrize(('draws', 'control_discount'), [(1, 1.0), (4, 1.0), (4, 0.6)])
def test_plan_equals_plain_numpy(pendulum, equations_pendulum, draws, control_discount):
    config = dataclasses.replace(CONFIG, control_discount=control_discount)
    key, start = jax.random.key(5), (2.5, -1.0)
    values = draw_parameters(pendulum, jax.random.key(2), draws)
    models = equations_pendulum.make_models(values)
    state = at(equations_pendulum, *start)
    arguments = (config, equations_pendulum, terminal_cost, models, state, CONTROLS, key)
    samples = sample_plans(*arguments)
    controls, info = mppi.plan(*arguments)

    noise = np.asarray(samples.noise)[..., 0].astype(float)
    scores, weights, expected = numpy_plan(config, values, noise, np.asarray(CONTROLS)[:, 0], start)
    np.testing.assert_allclose(samples.scores, scores, rtol=2e-5)
    np.testing.assert_allclose(weights_of(config, samples.scores), weights, atol=2e-5)
    np.testing.assert_allclose(controls[:, 0], expected, atol=2e-5)
    np.testing.assert_allclose(info.effective_sample_size, 1 / np.sum(weights**2), rtol=1e-3)
    np.testing.assert_allclose(info.best_score, scores.min(), rtol=1e-4)
    np.testing.assert_allclose(info.mean_score, scores.mean(), rtol=1e-4)
    assert info.nonfinite_fraction == 0.0


def test_noise_has_the_configured_variance(equations_pendulum):
    config = dataclasses.replace(CONFIG, num_samples=4000, noise_variance=4.0)
    samples = sample_plans(
        config, equations_pendulum, terminal_cost, one_model(equations_pendulum),
        at(equations_pendulum, 0.0, 0.0), CONTROLS, jax.random.key(0),
    )  # fmt: skip
    assert np.isclose(np.var(samples.noise), 4.0, rtol=0.05)


def one_model(simulator):
    return jax.tree.map(lambda leaf: leaf[None], simulator.true_model())


def some_samples(count=64, seed=0):
    random = np.random.default_rng(seed)
    noise = jnp.asarray(random.normal(size=(count, 5, 1)), jnp.float32)
    return Candidates((), noise), jnp.asarray(random.normal(size=count) * 3, jnp.float32)


def test_weights_sum_to_one_and_scores_may_be_shifted():
    _, scores = some_samples()
    weights = weights_of(CONFIG, scores)
    assert np.isclose(weights.sum(), 1.0, atol=1e-6) and (weights >= 0).all()
    np.testing.assert_allclose(weights_of(CONFIG, scores + 50.0), weights, rtol=1e-3)


@pytest.mark.parametrize('offset', [1e6, -1e6, 1e30])
def test_scores_far_from_zero_keep_their_differences(offset):
    """Costs whose quotient by lambda overflows or rounds away; NumPy in double precision."""
    config = PlannerConfig(temperature=1e-9 if offset == 1e30 else 0.1)
    spread = np.float64(1e24) if offset == 1e30 else 0.5
    scores = np.float32(offset + spread * np.arange(4))
    exact = -(scores.astype(np.float64) - scores.min()) / config.temperature
    shares = np.exp(exact) / np.exp(exact).sum()
    np.testing.assert_allclose(weights_of(config, jnp.array(scores)), shares, atol=1e-6)
    value = scores.min() - config.temperature * np.log(np.exp(exact).mean())
    np.testing.assert_allclose(free_energy(config, jnp.array(scores)), value, rtol=1e-6)


def test_order_of_samples_does_not_matter():
    samples, costs = some_samples()
    order = np.random.default_rng(1).permutation(64)
    mixed = samples._replace(drawn=samples.drawn[order])
    for result in (mppi.update, mppi.soft_value):
        expected = jax.tree.leaves(result(CONFIG, CONTROLS, samples, costs))[0]
        found = jax.tree.leaves(result(CONFIG, CONTROLS, mixed, costs[order]))[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_same_key_same_plan_other_key_other_plan(equations_pendulum):
    def plan(seed):
        return mppi.plan(
            CONFIG, equations_pendulum, terminal_cost, one_model(equations_pendulum),
            at(equations_pendulum, 1.0, 0.0), CONTROLS, jax.random.key(seed),
        )[0]  # fmt: skip

    np.testing.assert_array_equal(plan(7), plan(7))
    assert not np.allclose(plan(7), plan(8))


def test_iterations_start_from_the_plan_before(equations_pendulum):
    arguments = (
        CONFIG, equations_pendulum, terminal_cost, one_model(equations_pendulum),
        at(equations_pendulum, 1.0, 0.0),
    )  # fmt: skip
    key = jax.random.key(3)
    expected = CONTROLS
    for part in jax.random.split(key, 3):
        expected, info = mppi.plan(*arguments, expected, part)
    controls, last = mppi.plan(*arguments, CONTROLS, key, iterations=3)
    np.testing.assert_allclose(controls, expected, atol=1e-5)
    np.testing.assert_allclose(last.best_score, info.best_score, rtol=1e-5)


def test_shift_appends_zeros():
    np.testing.assert_array_equal(
        noise.shift(PlannerConfig(), CONTROLS)[:, 0], [*CONTROLS[1:, 0], 0.0]
    )


def test_vanishing_temperature_takes_the_best_sample(equations_pendulum):
    config = dataclasses.replace(CONFIG, temperature=1e-6, step_size=1.0)
    arguments = (
        config, equations_pendulum, terminal_cost, one_model(equations_pendulum),
        at(equations_pendulum, 2.0, 1.0), CONTROLS, jax.random.key(0),
    )  # fmt: skip
    samples = sample_plans(*arguments)
    best = CONTROLS + samples.noise[np.argmin(samples.scores)]
    np.testing.assert_allclose(mppi.plan(*arguments)[0], best, atol=1e-6)


def test_boundless_temperature_shrinks_the_plan_to_the_prior(equations_pendulum):
    """Not to the current mean: the KL term weighs samples towards zero, u -> (1 - alpha) u."""
    config = dataclasses.replace(
        CONFIG, temperature=1e8, num_samples=200_000, step_size=0.3, horizon=2
    )
    controls = jnp.array([[0.5], [-0.7]])
    result, _ = mppi.plan(
        config, equations_pendulum, terminal_cost, one_model(equations_pendulum),
        at(equations_pendulum, 2.0, 1.0), controls, jax.random.key(0),
    )  # fmt: skip
    np.testing.assert_allclose(result, 0.7 * controls, atol=0.01)


def failing_above(threshold):
    """The pendulum's cost, but not a number where the action, unless 0, is above a threshold."""

    def cost(reading, variables, action):
        bad = (action[0] > threshold) & (
            action[0] != 0.0
        )  # no control is what a task is checked at
        return jnp.where(bad, jnp.nan, wrap(reading.qpos[0]) ** 2)

    return make_simulator(lq_task(cost=cost))


def test_nonfinite_samples_get_no_weight_and_are_counted():
    simulator, config = failing_above(0.5), dataclasses.replace(CONFIG, num_samples=400)
    arguments = (
        config, simulator, simulator.task.cost, (), at(simulator, 1.0, 0.0),
        jnp.zeros((5, 1)), jax.random.key(0),
    )  # fmt: skip
    samples = sample_plans(*arguments)
    bad = (np.asarray(samples.noise)[..., 0] > 0.5).any(axis=1)
    assert 0 < bad.sum() < 400
    np.testing.assert_array_equal(np.isinf(samples.scores), bad)
    controls, info = mppi.plan(*arguments)
    assert np.isclose(info.nonfinite_fraction, bad.mean())
    kept = np.asarray(samples.scores)[~bad]
    weights = np.exp(-(kept - kept.min()) / config.temperature)
    weights /= weights.sum()
    expected = config.step_size * np.tensordot(weights, np.asarray(samples.noise)[~bad], 1)
    np.testing.assert_allclose(controls, expected, atol=1e-5)
    # Non-finite samples still count in log N.
    value = free_energy(config, samples.scores)
    total = np.exp(-kept / config.temperature).sum()
    assert np.isclose(value, -config.temperature * np.log(total / 400), rtol=1e-5)


def test_without_a_finite_sample_the_plan_stays_as_it_was():
    simulator = failing_above(-2.0)
    controls, info = mppi.plan(
        CONFIG, simulator, simulator.task.cost, (), at(simulator, 1.0, 0.0),
        CONTROLS, jax.random.key(0),
    )  # fmt: skip
    np.testing.assert_array_equal(controls, CONTROLS)
    assert info.nonfinite_fraction == 1.0 and info.effective_sample_size == 0.0
    assert np.isposinf(free_energy(CONFIG, jnp.full(12, jnp.inf)))


def test_a_state_that_overflows_counts_even_if_its_cost_hides_it():
    simulator = make_simulator(
        lq_task(
            cost=lambda reading, variables, action: jnp.array(1.0),
            equations=lambda p, qpos, qvel, action: (jnp.where(action == 0, qpos, jnp.inf), qvel),
        )
    )
    samples = sample_plans(
        CONFIG, simulator, simulator.task.cost, (), at(simulator, 1.0, 0.0),
        CONTROLS, jax.random.key(0),
    )  # fmt: skip
    assert np.isinf(samples.scores).all()
