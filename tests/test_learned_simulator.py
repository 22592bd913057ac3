"""Plans on an ensemble: particles against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

import mpq_jax
from mpq_jax.config import DynamicsConfig, PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.dynamics.learned import (
    Ensemble,
    Member,
    Scales,
    make_learned_simulator,
    mean_step,
)
from mpq_jax.planning.scoring import score
from tests.conftest import lq_task

# Networks without weights: member d always predicts a change of its own, with a known deviation.
DRIFTS = np.array([1.0, 10.0, 100.0, 1000.0])


def drifting(deviation=0.0, **fields):
    """A simulator, and its ensemble of networks whose outputs do not depend on their inputs."""
    config = DynamicsConfig(
        members=4, hidden_width=2, hidden_layers=1, learned_bounds=False, min_log_variance=-40.0,
        max_log_variance=40.0, **fields,
    )  # fmt: skip
    physics = make_simulator(lq_task(), PhysicsConfig(backend='equations'))
    simulator = make_learned_simulator(physics, config, corrects=False)
    network = simulator.dynamics.network
    params = network.init(jax.random.key(0), jnp.zeros(3))
    log_variance = 2 * np.log(deviation) if deviation else -40.0

    def member(drift):
        silent = jax.tree.map(jnp.zeros_like, params)
        bias = jnp.array([drift, 0.0, log_variance, -40.0])
        silent['params']['Dense_1']['bias'] = bias
        return Member(silent, Scales(jnp.zeros(3), jnp.ones(3), jnp.ones(2)))

    members = jax.tree.map(lambda *x: jnp.stack(x), *(member(drift) for drift in DRIFTS))
    return simulator, Ensemble(members, {})


def ways(simulator, ensemble, particles, steps=3, seed=0):
    """Positions `[P, T + 1]` of particles that start at zero."""
    start = simulator.state(mpq_jax.Start(jnp.zeros(1), jnp.zeros(1)))
    actions = jnp.zeros((particles, steps, 1))
    roll = jax.jit(simulator.particles)
    along = roll(ensemble, start, actions, jax.random.key(seed))
    return np.asarray(along.states.qpos[..., 0])


def test_a_particle_keeps_its_network():
    found = ways(*drifting(particles=8), particles=8)
    expected = np.arange(4) * DRIFTS[np.arange(8) % 4][:, None]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_particles_change_networks_each_step_and_each_network_has_its_share():
    steps = np.diff(ways(*drifting(propagation='ts1', particles=8), particles=8, steps=30))
    for taken in steps.T:  # [T, P]
        np.testing.assert_allclose(np.sort(taken), np.sort(np.tile(DRIFTS, 2)), rtol=1e-3)
    used = [len(np.unique(np.round(np.log10(row)))) for row in steps]
    assert min(used) >= 3  # in thirty steps a particle has been with nearly all


def test_the_mean_of_the_networks_is_followed():
    simulator, ensemble = drifting(propagation='mean', particles=1)
    found = ways(simulator, ensemble, particles=1)
    np.testing.assert_allclose(found[0], DRIFTS.mean() * np.arange(4), rtol=1e-5)
    start = simulator.state(mpq_jax.Start(jnp.zeros(1), jnp.zeros(1)))
    one = mean_step(simulator.dynamics, ensemble, jax.tree.map(lambda x: x[None], start),
                    jnp.zeros((1, 1)))  # fmt: skip
    np.testing.assert_allclose(one.qpos[0, 0], DRIFTS.mean(), rtol=1e-6)


def test_noise_is_that_of_the_predicted_deviation():
    simulator, ensemble = drifting(deviation=2.0, particles=4000)
    spread = ways(simulator, ensemble, particles=4000, steps=4)[::4]  # of the first network
    np.testing.assert_allclose(spread.std(axis=0)[1:], 2.0 * np.sqrt([1, 2, 3, 4]), rtol=0.1)
    silent = drifting(deviation=2.0, particles=4, sample_noise=False)
    np.testing.assert_allclose(ways(*silent, particles=4), np.arange(4) * DRIFTS[:, None])


def test_variables_evolve_with_a_step_and_along_a_plan():
    """A clock, in a controller's single step and on every particle."""
    clock = lq_task(
        advance=lambda reading, variables, action: variables + 1.0,
        reset=lambda key: mpq_jax.Start(jnp.zeros(1), jnp.zeros(1), jnp.float32(0.0)),
    )
    plain, ensemble = drifting(particles=4)
    physics = make_simulator(clock, PhysicsConfig(backend='equations'))
    simulator = make_learned_simulator(physics, plain.dynamics.config, corrects=False)
    start = simulator.state(clock.reset(jax.random.key(0)))
    one = jax.tree.map(lambda x: x[0], ensemble)
    assert simulator.step(one, start, jnp.zeros(1))[0].variables == 1.0
    along = simulator.particles(ensemble, start, jnp.zeros((4, 3, 1)), jax.random.key(0))
    np.testing.assert_array_equal(along.states.variables, [[0.0, 1.0, 2.0, 3.0]] * 4)


CONFIG = PlannerConfig(horizon=3, num_samples=8, discount=0.5)


def costs_of(simulator, ensemble, actions, seed=0):
    start = simulator.state(mpq_jax.Start(jnp.ones(1), jnp.zeros(1)))
    task = simulator.task
    scored = jax.jit(lambda key: score(
        CONFIG, simulator, task.cost, ensemble, start, actions, key=key
    ))  # fmt: skip
    return np.asarray(scored(jax.random.key(seed)))


def expected_costs(drifts, actions):
    """Cost q s^2 / 2 + r a^2 / 2 along s = 1 + t d, discounted, in NumPy."""
    states = 1.0 + np.arange(3) * np.asarray(drifts)[:, None]
    stage = 0.5 * states**2 + 0.05 * np.asarray(actions)[..., 0] ** 2
    return stage @ 0.5 ** np.arange(3)


ACTIONS = jax.random.uniform(jax.random.key(5), (8, 3, 1), minval=-1.0)


def test_a_plan_costs_the_mean_over_its_particles_in_whatever_order():
    simulator, ensemble = drifting(particles=8)
    found = costs_of(simulator, ensemble, ACTIONS)
    each = [expected_costs(np.full(8, drift), ACTIONS) for drift in DRIFTS]
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=1e-5)
    turned = jax.tree.map(lambda x: x[::-1], ensemble)
    np.testing.assert_allclose(costs_of(simulator, turned, ACTIONS), found, rtol=1e-5)


def test_without_particles_sample_n_is_rolled_out_on_network_n_mod_d():
    simulator, ensemble = drifting(particles=0)
    found = costs_of(simulator, ensemble, ACTIONS)
    np.testing.assert_allclose(found, expected_costs(np.tile(DRIFTS, 2), ACTIONS), rtol=1e-5)


def test_one_particle_that_is_not_finite_makes_its_plans_cost_infinite():
    simulator, ensemble = drifting(particles=4)
    bias = ensemble.member.params['params']['Dense_1']['bias']
    ensemble.member.params['params']['Dense_1']['bias'] = bias.at[2, 0].set(jnp.nan)
    assert np.isinf(costs_of(simulator, ensemble, ACTIONS)).all()


def test_networks_that_predict_nothing_leave_the_physics_as_they_are():
    """Residual mode: with networks of zero the plan's cost is that of the physics' draws."""
    physics = make_simulator(lq_task(), PhysicsConfig(backend='equations'))
    silent, ensemble = drifting(particles=4, sample_noise=False)
    config = silent.dynamics.config
    simulator = make_learned_simulator(physics, config, corrects=True)
    members = jax.tree.map(jnp.zeros_like, ensemble.member)
    scales = Scales(jnp.zeros((4, 3)), jnp.ones((4, 3)), jnp.ones((4, 2)))
    corrected = costs_of(simulator, Ensemble(members._replace(scales=scales), {}), ACTIONS)
    plain = costs_of(physics, {}, ACTIONS)
    np.testing.assert_allclose(corrected, plain, rtol=1e-5)
