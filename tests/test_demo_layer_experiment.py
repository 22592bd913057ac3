"""The DeMo Layer's experiment: what counts as upright, the page, and the command."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import demo_layer, demo_layer_page, demo_layer_tasks
from mpq_jax.tasks import Reading
from tests.entry_points import run

ENTRIES = tuple(demo_layer.ENTRIES)


@pytest.mark.parametrize('name', ['cartpole', 'pendulum'])
def test_success_is_to_have_been_upright_for_two_seconds(name):
    """Angles at random, mostly upright ones: as counted in NumPy, an instant at a time."""
    task = getattr(demo_layer_tasks, f'make_{name}')()
    rng = np.random.default_rng(0)
    steps, up = round(2.0 / task.control_timestep), np.pi * (name == 'cartpole')
    angles = np.where(rng.random(400) < 0.99, rng.uniform(-11.9, 11.9, 400), 12.1)
    angles = up + np.deg2rad(angles) + 2 * np.pi * rng.integers(-2, 3, 400)
    coordinates = np.stack([np.zeros(400), angles], axis=1)[
        :, -{'cartpole': 2, 'pendulum': 1}[name] :
    ]

    def step(count, qpos):
        reading = Reading(qpos, jnp.zeros_like(qpos), ())
        return task.advance(reading, count, jnp.zeros(1)), task.success(reading, count)

    start = task.reset(jax.random.key(0)).variables
    _, found = jax.lax.scan(step, start, jnp.array(coordinates))
    within = np.abs(np.mod(angles - up + np.pi, 2 * np.pi) - np.pi) < np.deg2rad(12.0)
    expected = [i >= steps and within[i - steps : i + 1].all() for i in range(400)]
    assert np.array_equal(found, expected) and 0 < sum(expected) < 400


def evaluation(agent, values, fields=None):
    """As evaluation.json has it, of one value a seed."""
    figure = {
        'mean': float(np.mean(values)), 'low': 0.1, 'high': 0.9,
        'per_seed': {str(i): {'mean': value} for i, value in enumerate(values)},
    }  # fmt: skip
    figures = {'success_at_end': figure, 'return': figure}
    shared = {
        'test_episodes_per_seed': 20,
        'agent': agent,
        'planner_model': 'true',
        'no_control': figures,
    }
    if fields is None:
        return shared | figures
    return shared | {'variants': [figures | {'fields': own} for own in fields]}


def test_rows_are_those_of_the_runs_and_stay_where_these_are_gone(tmp_path):
    steps = [{'planner.step_size': 0.0}, {'planner.step_size': 0.3}]
    runs = {
        'ars': evaluation('ars', [0.2] * 5),
        'layer_true': evaluation('demo_layer', [0.5] * 5, steps),
        'planner_true': evaluation('mppi', [0.7] * 5, [{'planner.step_size': 1.0}]),
    }
    for name, content in runs.items():
        (tmp_path / 'a' / 'pendulum' / name).mkdir(parents=True)
        file = tmp_path / 'a' / 'pendulum' / name / 'evaluation.json'
        file.write_text(json.dumps(content))
    swing_ups = tmp_path / 'a' / 'pendulum' / 'ars' / demo_layer_page.SWING_UPS
    swing_ups.write_text('[1.0, 0.9, 1.0, 1.0, 0.6]')
    text = demo_layer_page.write(tmp_path / 'a', ENTRIES)
    assert '| policy alone: upright at some instant | | 0.90 [' in text
    assert '| with the layer, step 0.3 | true | 0.50 [0.10, 0.90] | 0.5 [0.1, 0.9] |' in text
    assert '| planner alone, step 1 | true | 0.70' in text and '| no control |  | 0.70' in text
    assert text.count('policy alone') == 3 and (tmp_path / 'a' / 'demo_layer.png').exists()
    (tmp_path / 'b').mkdir()
    kept = (tmp_path / 'a' / 'demo_layer.json').read_text()
    (tmp_path / 'b' / 'demo_layer.json').write_text(kept)
    assert demo_layer_page.write(tmp_path / 'b', ENTRIES) == text


def test_the_command_shows_what_there_is_and_refuses_what_there_is_not(tmp_path):
    result = run('demo_layer', '--draw_only', f'--run_dir={tmp_path}')
    assert result.returncode == 0 and not result.stdout.strip()
    assert run('demo_layer', '--tasks=acrobot', f'--run_dir={tmp_path}').returncode == 2
