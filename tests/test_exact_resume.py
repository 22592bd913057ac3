"""Stopped and resumed is as never stopped, bit for bit: every task, backend and real system."""

import os
import signal

import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.progress import Reporter, make_console
from mpq_jax.training import assembly
from mpq_jax.training import trainer as training
from tests.conftest import tiny_config
from tests.test_kills import assert_same, outcome

NATIVE = {'real_system': 'mujoco', 'planner_physics.backend': 'mujoco'}
MJX = {'planner_physics.backend': 'mjx', 'real_physics.backend': 'mjx'}

# A plan with a covariance, kept in the buffer; lambda by a schedule, the temperature by its target.
FAMILY = {
    'planner.name': 'dmd', 'planner.noise': 'coloured', 'planner.temperature_rule': 'target_ess',
    'planner.target_ess': 2.0, 'planner.td_schedule': 'linear', 'planner.td_lambda_final': 0.5,
    'learner.warm_start': True, 'planner_physics.backend': 'equations',
    'real_physics.backend': 'equations',
}  # fmt: skip
# Stopped between a direction's two sides.
ARS = {
    'agent': 'ars', 'ars.directions': 1, 'ars.top_directions': 1, 'learner.episodes_per_round': 2,
    'real_physics.backend': 'equations',
}  # fmt: skip
SAC = NATIVE | {
    'agent': 'sac', 'sac.batch_size': 16, 'sac.hidden_width': 16, 'sac.updates_per_step': 0.1,
}  # fmt: skip
REDRAWN = {'belief.redraw': 'episode', 'belief.bank_size': 4}


class Interrupts(Reporter):
    """Asks for a stop when an episode is done: the one after it is the session's last."""

    def __init__(self, episode):
        super().__init__('run', 3, make_console())
        self._episode = episode

    def advance(self, done, *_):
        if done == self._episode:
            os.kill(os.getpid(), signal.SIGTERM)


def config_of(task, fields):
    own = {'task': task, 'episodes': 3, 'num_seeds': 2, 'planner.num_samples': 4, **fields}
    if task == 'ball_in_cup':
        own |= {'learner.buffer_capacity': 1000, 'real_physics.backend': 'auto'}
    return tiny_config(**own)


@pytest.mark.parametrize(
    ('task', 'fields'),
    [
        ('pendulum', NATIVE),
        ('pendulum', FAMILY),
        ('pendulum', ARS),
        ('pendulum', SAC),
        pytest.param('ball_in_cup', NATIVE, marks=pytest.mark.slow),
        pytest.param('pendulum', MJX | REDRAWN, marks=pytest.mark.slow),
        pytest.param('pendulum', {'agent': 'softq', 'q_data': 'dr'}, marks=pytest.mark.slow),
        pytest.param('ball_in_cup', MJX, marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_ends_as_if_it_had_not_been_stopped(task, fields, tmp_path, monkeypatch):
    config = config_of(task, dict(fields))
    programs = assembly.make_programs(config.validate())  # compiled once for all three sessions
    monkeypatch.setattr(training, 'make_programs', lambda *_: programs)
    whole = mpq_jax.train(config, tmp_path / 'whole')
    with pytest.raises(mpq_jax.Stopped, match='after episode 1 of 3'):
        mpq_jax.train(config, tmp_path / 'run', reporter=Interrupts(1))
    resumed = mpq_jax.train(config, tmp_path / 'run', resume=True)
    wanted = outcome(whole.path, config)
    assert_same(outcome(resumed.path, config), wanted)
    assert np.isfinite(float(wanted[2][0]['return']))
