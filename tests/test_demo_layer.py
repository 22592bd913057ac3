"""The DeMo Layer: step 0, closed forms of one step, and what a run of it promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.config import DMDConfig
from mpq_jax.config.planners import planner_config
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.episode import run_episode
from mpq_jax.environments.real_system import SimulatedSystem
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning.policies.demo_layer import DemoLayer, LayerParams
from mpq_jax.planning.planners import load_planner
from mpq_jax.planning.policy_agent import PolicyAgent
from mpq_jax.report import write_report
from mpq_jax.runs.metrics import read_table
from tests.conftest import LQ, at, broken_task, lq_task, tiny_lq_config
from tests.test_ars import ars_config


def riccati():
    """P and K of V(s) = P s^2 / 2 and a = -K s, undiscounted, by iteration."""
    value = LQ['q']
    for _ in range(500):
        gain = LQ['A'] * LQ['B'] * value / (LQ['r'] + LQ['B'] ** 2 * value)
        value = LQ['q'] + LQ['A'] * value * (LQ['A'] - LQ['B'] * gain)
    return value, gain


VALUE, GAIN = riccati()


class LQRValue:
    """Q(s, a) of the optimal policy, as a network without parameters."""

    def apply(self, params, observation, action):
        following = LQ['A'] * observation[0] + LQ['B'] * action[0]
        stage = 0.5 * LQ['q'] * observation[0] ** 2 + 0.5 * LQ['r'] * action[0] ** 2
        return stage + 0.5 * VALUE * following**2


def layer(planner='dmd', gain_of=lambda params, observation, key: -params * observation, **fields):
    simulator = fields.pop('simulator', None) or make_simulator(lq_task())
    return DemoLayer(simulator, LQRValue(), load_planner(planner), policy=gain_of)


def config_of(name='dmd', **fields):
    """Noise of deviation 0.2, which meets no limit of the action."""
    own = {'covariance': 'fixed'} if isinstance(planner_config(name), DMDConfig) else {}
    usual = {'horizon': 1, 'num_samples': 4000, 'discount': 1.0, 'noise_variance': 0.04}
    return dataclasses.replace(planner_config(name), **{'temperature': 0.1} | usual | own | fields)


def act(agent, config, gain, position, key=0):
    params = LayerParams(jnp.float32(gain))
    state = at(agent.simulator, position, 0.0)
    return agent.act(config, params, (), state, (), jax.random.key(key))


@pytest.mark.parametrize('gain', [GAIN, 0.5 * GAIN])
@pytest.mark.parametrize('step', [0.3, 1.0])
def test_one_step_goes_as_far_as_the_gaussian_says(gain, step):
    """H = 1 and an exact Q: weights are Gaussian, and the mean goes s/(1+s) of the way to LQR."""
    position, samples, errors = 0.4, 4000, []
    config = config_of(num_samples=samples, step_size=step)
    share = config.noise_variance * (LQ['r'] + LQ['B'] ** 2 * VALUE) / config.temperature
    share /= 1.0 + share
    policy, best = -gain * position, -GAIN * position
    for key in range(5):
        action, _, info = act(layer(), config, gain, position, key)
        errors.append(action[0] - (policy + step * share * (best - policy)))
    deviation = step * np.sqrt(config.noise_variance / float(info.effective_sample_size))
    assert abs(np.mean(errors)) < 3.0 * deviation / np.sqrt(5)
    assert np.std(errors) < 3.0 * deviation


def costs(agent, config, gain, episodes=200):
    """Of episodes from the same starts `[E]`."""
    simulator = agent.simulator
    params = LayerParams(jnp.float32(gain)) if isinstance(agent, DemoLayer) else jnp.float32(gain)

    def one(key):
        return run_episode(config, agent, simulator, params, (), key).summary.episode_return

    return -np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), episodes)))


@pytest.mark.parametrize('fields', [{}, {'loss': 'low_cost', 'elite_fraction': 0.2}])
def test_a_perfect_model_and_the_lqr_value_leave_an_lqr_policy_as_good(fields):
    """What noise is left costs (r + B^2 P) / 2 times its variance a step, and no more."""
    simulator = make_simulator(lq_task())
    bare = PolicyAgent(simulator, None, None, policy=layer().policy)
    config = config_of(horizon=3, num_samples=200, step_size=0.8, temperature=0.02, **fields)
    with_layer, alone = costs(layer(), config, GAIN), costs(bare, config, GAIN)
    assert (alone > 0).all()
    kept = (
        40  # effective samples: the elite; of the utility 46, of Gaussian weights in 3 dimensions
    )
    noise = 0.8**2 * config.noise_variance / kept
    allowed = 10 * 0.5 * (LQ['r'] + VALUE) * noise
    assert -1e-3 * alone.mean() < (with_layer - alone).mean() < allowed < 0.1 * alone.mean()
    worse, corrected = costs(bare, config, 0.4 * GAIN), costs(layer(), config, 0.4 * GAIN)
    assert corrected.mean() - alone.mean() < 0.3 * (worse.mean() - alone.mean())


@pytest.mark.parametrize('name', ['dmd', 'mppi', 'cem', 'predictive_sampling', 'random_shooting'])
def test_step_0_is_the_policy_exactly(name):
    config = config_of(name, horizon=4, num_samples=32, step_size=0.0, iterations=2)
    for position in (0.3, -0.77, 3.0):
        action, plan, _ = act(layer(name), config, 0.61, position)
        expected = np.clip(-np.float32(0.61) * np.float32(position), -1.0, 1.0)
        assert action[0] == expected and plan == ()


def test_plans_are_around_the_policys_rollout():
    agent, state = layer(), at(make_simulator(lq_task()), 0.8, 0.0)
    found = agent.along(5, jnp.float32(0.5), (), state, jax.random.key(0))[:, 0]
    expected, position = [], 0.8
    for _ in range(5):
        expected.append(np.clip(-0.5 * position, -1.0, 1.0))
        position = LQ['A'] * position + LQ['B'] * expected[-1]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    moved = load_planner('dmd').around(DMDConfig(horizon=5, noise_variance=0.3), found[:, None])
    np.testing.assert_array_equal(moved.mean[:, 0], found)
    np.testing.assert_allclose(moved.covariance, 0.3, rtol=1e-6)


def test_where_the_model_breaks_there_is_no_control_and_the_policy_acts():
    broken = make_simulator(broken_task())
    agent = layer(simulator=broken)
    state = at(broken, 0.5, 0.0)
    found = agent.along(3, jnp.float32(0.5), (), state, jax.random.key(0))
    np.testing.assert_array_equal(found[:, 0], [-0.25, 0.0, 0.0])
    action, _, info = act(agent, config_of(horizon=3, num_samples=8), 0.5, 0.5)
    assert action[0] == -0.25 and info.nonfinite_fraction == 1.0


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    config = ars_config(num_seeds=3, episodes=6, **{'training.validation_episodes': 0})
    return mpq_jax.train(config, tmp_path_factory.mktemp('layer') / 'ars')


def layer_config(trained, **fields):
    own = {
        'agent': 'demo_layer', 'from_run': str(trained.path), 'seed': 1, 'episodes': 3,
        'planner.num_samples': 8, 'planner.step_size': 0.5,
    }  # fmt: skip
    return tiny_lq_config(**(own | fields))


@pytest.fixture(scope='module')
def run(trained, tmp_path_factory):
    """Two seeds and two steps, one of them 0, in one batch."""
    steps = [{'planner.step_size': 0.0}, {'planner.step_size': 0.7}]
    batch = mpq_jax.Batch(layer_config(trained), tuple(steps))
    return mpq_jax.train(batch, tmp_path_factory.mktemp('layer') / 'run')


def test_a_run_at_step_0_is_the_bare_policy_seed_by_seed(trained, run):
    both, bare = mpq_jax.evaluate(run.path, 4), mpq_jax.evaluate(trained.path, 4)
    still, moved = both['variants']
    for seed in ('1', '2'):
        alone = bare['return']['per_seed'][seed]
        assert still['return']['per_seed'][seed] == alone != moved['return']['per_seed'][seed]
    controllers = [
        mpq_jax.load_controller(run.path, seed=2), mpq_jax.load_controller(trained.path, seed=2),
    ]  # fmt: skip
    assert np.array_equal(*(controller.act([0.4], [0.0]) for controller in controllers))
    assert 'DeMo Layer by dmd H=2' in write_report(run.path).read_text()


def test_its_policy_is_the_last_one_of_that_run(trained, run):
    ours, theirs = (load_run(path)[1].state for path in (run.path, trained.path))
    for variant in range(2):
        jax.tree.map(
            lambda x, y, v=variant: np.testing.assert_array_equal(x[2 * v : 2 * v + 2], y[1:]),
            ours.learner.policy, theirs.learner.policy,
        )  # fmt: skip


@pytest.mark.slow
def test_on_a_learned_model_it_goes_on_where_it_stopped(trained, tmp_path):
    config = layer_config(trained, episodes=3, num_seeds=2, planner_model='learned')
    small = {
        'dynamics.hidden_width': 8, 'dynamics.hidden_layers': 1, 'dynamics.members': 2,
        'dynamics.particles': 2, 'dynamics.batch_size': 8, 'dynamics.epochs': 1,
    }  # fmt: skip
    config = mpq_jax.set_fields(config, small)
    whole = mpq_jax.train(config, tmp_path / 'whole')
    part = mpq_jax.train(mpq_jax.set_fields(config, {'episodes': 2}), tmp_path / 'part')
    mpq_jax.train(config, part.path, resume=True)
    for name in ('return', 'model_loss'):
        ours, wanted = (read_table(r.metrics_file, name) for r in (part, whole))
        np.testing.assert_array_equal(ours, wanted)
    assert np.isfinite(read_table(whole.metrics_file, 'return')).all()


@pytest.mark.slow
def test_step_by_step_it_is_the_same(trained, tmp_path):
    simulated = mpq_jax.train(layer_config(trained, episodes=2), tmp_path / 'simulated')
    config = layer_config(trained, episodes=2, real_system='own')
    systems = [SimulatedSystem(make_simulator(lq_task())) for _ in range(2)]
    driven = mpq_jax.train(config, tmp_path / 'own', real_systems=systems)
    ours, theirs = (read_table(r.metrics_file, 'return') for r in (driven, simulated))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


@pytest.mark.parametrize(
    ('fields', 'named'),
    [
        ({'planner.noise': 'knots'}, r"planner\.noise = 'knots'.*white"),
        ({'planner.name': 'stubborn'}, r"planner\.name = 'stubborn'.*around"),
        ({'planner.step_size': -0.1}, r'planner\.step_size = -0\.1'),
        ({'agent': 'mppi', 'from_run': '', 'planner.step_size': 0.0}, r'planner\.step_size = 0\.0'),
        ({'seed': 2}, r'seed = 3.*\(0, 1, 2\)'),
    ],
)
def test_what_is_not_allowed_is_named(trained, tmp_path, fields, named):
    stubborn = load_planner('mppi')._replace(around=None)
    mpq_jax.register_planner('stubborn', lambda: stubborn)
    with pytest.raises(mpq_jax.ConfigError, match=named):
        mpq_jax.train(layer_config(trained, **fields), tmp_path / 'run')


def test_a_run_without_a_policy_will_not_do_nor_a_layer_on_a_layer(trained, tmp_path):
    planned = tiny_lq_config(agent='mppi', episodes=1, seed=1)
    for agent, config in (('mppi', planned), ('demo_layer', layer_config(trained, episodes=1))):
        run = mpq_jax.train(config, tmp_path / agent)
        with pytest.raises(mpq_jax.ConfigError, match=rf'from_run.*policy alone.*{agent}'):
            mpq_jax.train(layer_config(run), tmp_path / 'run')
