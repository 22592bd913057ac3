"""The three figures of success, from a task whose successes are counted by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.statistics import confidence_interval
from mpq_jax.config import PlannerConfig
from mpq_jax.dynamics import make_simulator
from mpq_jax.environments.episode import SUCCESSES, run_episode
from mpq_jax.planning.agent import Agent
from mpq_jax.runs.metrics import COLUMNS, read_rows, read_table
from mpq_jax.tasks import register_task
from mpq_jax.tasks.terminal_costs import cost_to_go
from tests.conftest import lq_task


def counting_task(steps_in_success, **changes):
    """A plant that counts its steps in qvel: the start is 0, the last of ten instants 10."""
    wanted = jnp.array(steps_in_success, jnp.float32)
    return lq_task(
        name='counting',
        equations=lambda p, qpos, qvel, action: (qpos, qvel + 1.0),
        success=lambda reading, variables: (reading.qvel[0] == wanted).any(),
        **changes,
    )


@pytest.mark.parametrize(
    ('steps_in_success', 'ends_at', 'expected'),
    [
        ([3, 4, 10], 99, (True, True, 0.3)),
        ([3, 4], 99, (True, False, 0.2)),
        ([3, 4, 10], 4, (True, True, 0.5)),
        ([2, 10], 4, (True, False, 0.25)),
        ([0], 99, (True, False, 0.0)),
        ([11], 99, (False, False, 0.0)),
    ],
)
def test_three_figures_of_success(steps_in_success, ends_at, expected):
    task = counting_task(
        steps_in_success,
        terminated=lambda reading, variables: reading.qvel[0] >= ends_at,
        terminal_cost=cost_to_go(0.0, 0.9),
    )
    simulator = make_simulator(task)
    planner = PlannerConfig(horizon=2, num_samples=4)
    agent = Agent(simulator, None)
    episode = jax.jit(lambda key: run_episode(planner, agent, simulator, (), (), key))(
        jax.random.key(0)
    )
    figures = [getattr(episode.summary, name) for name in SUCCESSES]
    np.testing.assert_allclose(figures, expected, rtol=1e-6)


def test_success_reaches_metrics_and_evaluation(tmp_path):
    register_task('counting', lambda: counting_task([3, 4]))
    changes = {'num_seeds': 5, 'episodes': 2, 'planner.horizon': 2, 'planner.num_samples': 4,
               'belief.num_draws': 1}  # fmt: skip
    run = mpq_jax.train(
        mpq_jax.set_fields(mpq_jax.preset('counting', 'mppi'), changes), tmp_path / 'run'
    )
    for row in read_rows(run.metrics_file):
        figures = float(row['success']), float(row['success_at_end']), float(row['success_share'])
        np.testing.assert_allclose(figures, (1.0, 0.0, 0.2))
    result = mpq_jax.evaluate(run.path, 2)
    means = [result[name]['mean'] for name in SUCCESSES]
    np.testing.assert_allclose(means, (1.0, 0.0, 0.2), rtol=1e-6)
    for name, mean in zip(SUCCESSES, means, strict=True):  # rates of two episodes a seed
        expected = confidence_interval(np.full(5, mean), 2)
        np.testing.assert_allclose((result[name]['low'], result[name]['high']), expected)
    assert result['return']['low'] < result['return']['mean'] < result['return']['high']


def test_metrics_from_before_a_column_was_added_can_be_read(tmp_path):
    old = [name for name in COLUMNS if name not in SUCCESSES[1:]]
    values = ['0', '0', '0', *['1'] * (len(old) - 3)]
    (tmp_path / 'metrics.csv').write_text(f'{",".join(old)}\n{",".join(values)}\n')
    assert read_table(tmp_path / 'metrics.csv', 'return') == 1.0
    assert np.isnan(read_table(tmp_path / 'metrics.csv', 'success_share'))
