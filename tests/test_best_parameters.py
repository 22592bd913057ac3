"""Which parameters play: the last, unless the best by validation are asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.dynamics import State
from mpq_jax.environments.real_system import Measurement
from mpq_jax.evaluation.loading import load_run
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState
from mpq_jax.learning.best_parameters import best_params, keep_best
from mpq_jax.learning.learner import LearnerState
from mpq_jax.runs.continuing import check_matches
from mpq_jax.runs.metrics import read_table
from mpq_jax.tasks import Reading
from mpq_jax.training.assembly import make_programs
from tests.conftest import tiny_lq_config

ALGORITHM = Algorithm(None, None, None, lambda state: state.learner.params)


def after(validations):
    """Which of a row of validations `[V, E]` is the best, by its number."""
    episodes = len(validations[0])
    state = MemberState((), (), None, (), jnp.float32(-1), jnp.full(episodes, jnp.nan))
    for number, returns in enumerate(validations):
        learner = LearnerState(jnp.float32(number), (), ())
        state = keep_best(ALGORITHM, state._replace(learner=learner), jnp.array(returns))
    last = state._replace(learner=LearnerState(jnp.float32(99), (), ()))
    return float(best_params(ALGORITHM, last))


@pytest.mark.parametrize(
    ('validations', 'best'),
    [
        ([[-9, -8, -9, -8.0]], 0),
        ([[-9, -8, -9, -8.0], [-5, -4, -6, -5]], 1),  # better
        ([[-5, -4, -6, -5.0], [-9, -8, -9, -8]], 0),  # worse in every episode
        # By luck in one of four episodes: a lead of 50 with a standard error of 50.
        ([[0, -200, -200, -200.0], [-200, -200, -200, -200]], 1),
        # In three of four: 150, with a standard error of 50.
        ([[0, 0, 0, -200.0], [-200, -200, -200, -200]], 0),
        ([[-5, -4, -6, -5.0], [jnp.nan, -1, -1, -1]], 0),
        ([[jnp.nan, -1, -1, -1.0]], 99),  # none was usable: the last
        ([[-5.0], [-9]], 1),  # one episode does not show its noise
        ([[]], 99),
    ],
)
def test_the_best_give_way_unless_they_lead_beyond_noise(validations, best):
    assert after(validations) == best


def test_luck_does_not_choose():
    """Ten equal parameters, four noisy episodes each: 5 % of the early ones stay, at a time."""
    rng = np.random.default_rng(0)
    chosen = [after(rng.normal(size=(10, 4)).tolist()) for _ in range(100)]
    assert np.mean(np.array(chosen) == 9) > 0.8


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run whose first parameters are made its best by hand: far from the last."""
    path = tmp_path_factory.mktemp('best') / 'run'
    config = tiny_lq_config(
        episodes=3, **{'training.validation_episodes': 2, 'training.validation_interval': 1}
    )
    return mpq_jax.train(config, path)


def test_evaluate_plays_the_last_parameters_unless_asked_for_the_best(trained, monkeypatch):
    programs, saved, _ = load_run(trained.path)
    played = []
    original = type(programs).play

    def play(self, purpose, state, q_params, episodes):
        played.append(jax.tree.map(np.asarray, q_params))
        return original(self, purpose, state, q_params, episodes)

    monkeypatch.setattr(type(programs), 'play', play)
    shifted = jax.tree.map(lambda x: x + 1.0, saved.state.learner.params)
    best = saved.state._replace(best_params=shifted)
    monkeypatch.setattr(
        'mpq_jax.evaluation.evaluator.load_run',
        lambda *_: (programs, saved._replace(state=best), []),
    )
    results = [
        mpq_jax.evaluate(trained.path, 1, **arguments)
        for arguments in ({}, {'parameters': 'last'}, {'parameters': 'best'})
    ]
    assert [result['parameters'] for result in results] == ['last', 'last', 'best']
    for params, expected in zip(
        played, (saved.state.learner.params,) * 2 + (shifted,), strict=True
    ):
        jax.tree.map(np.testing.assert_array_equal, params, expected)


def test_the_closing_figure_is_of_the_last_training_episode():
    buffer = replay_buffer.empty(jnp.zeros(()), 5)
    storage = replay_buffer.Transition(*[()] * 8)._replace(cost=jnp.arange(5.0))
    buffer = buffer._replace(storage=storage, position=jnp.int32(2), size=jnp.int32(5))
    np.testing.assert_array_equal(replay_buffer.latest(buffer, 4).cost, [3, 4, 0, 1])


class Counting:
    """A real system that counts how often it was driven."""

    task = None

    def __init__(self):
        self.steps = self.episodes = 0

    def reset(self, key):
        self.episodes += 1
        self.position = np.float32(jax.random.uniform(key, (1,), minval=-1.0))
        return self._measured()

    def step(self, action):
        self.steps += 1
        self.position = 0.9 * self.position + np.asarray(action, np.float32)
        return self._measured()

    def _measured(self):
        qpos, qvel = self.position.astype(np.float32), np.zeros(1, np.float32)
        state = State(qpos, qvel, np.zeros(0, np.float32), np.zeros(1, np.float32), ())
        return Measurement(state, Reading(qpos, qvel, {}))


def test_a_real_system_takes_no_step_that_is_not_counted(tmp_path):
    """Training, validation and testing, where the last validation is not at the end."""
    systems = [Counting(), Counting()]
    config = tiny_lq_config(
        real_system='own', episodes=11,
        **{'training.validation_episodes': 1, 'training.validation_interval': 9},
    )  # fmt: skip
    run = mpq_jax.train(config, tmp_path / 'run', real_systems=systems)
    counted = sum(
        read_table(run.metrics_file, name)[:, -1] for name in ('env_steps', 'validation_env_steps')
    )
    np.testing.assert_array_equal([system.steps for system in systems], counted)
    assert [system.episodes for system in systems] == [12, 12]
    assert (run.path / 'episode.png').exists()
    result = mpq_jax.evaluate(run.path, 2, real_systems=systems)
    assert sum(system.steps for system in systems) == counted.sum() + result['env_steps']


def test_the_number_of_validation_episodes_stays_as_it_was():
    config = tiny_lq_config(episodes=1)
    longer = tiny_lq_config(episodes=2, **{'training.validation_episodes': 3})
    with pytest.raises(mpq_jax.ConfigError, match=r'training.validation_episodes = 3 is not'):
        check_matches(mpq_jax.Batch(longer), mpq_jax.Batch(config))
    assert make_programs(longer).state_shapes().best_returns.shape == (2, 3)
