"""SAC beside Stable-baselines3: rows, the last fifth, growing runs, and what an update takes."""

import json

import numpy as np

import mpq_jax
from experiments import policies_sac, policies_sac_page, sac_speed
from mpq_jax.runs.metrics import read_table
from tests.entry_points import run

ENTRIES = policies_sac.ENTRIES


def reference_rows():
    """Of two seeds and both schedules, episodes of 200 steps."""
    rng = np.random.default_rng(0)
    return [
        {
            'task': 'Pendulum-v1', 'schedule': schedule, 'seed': seed,
            'returns': rng.integers(-900, -100, 100).astype(float).tolist(),
            'steps': list(range(200, 20_001, 200)), 'seconds': 1.0,
        }
        for schedule in ('episode', 'step')
        for seed in range(2)
    ]  # fmt: skip


def test_rows_of_the_other_library_are_shown_and_kept(tmp_path):
    rows = reference_rows()
    content = {'made_by': {'stable_baselines3': '2.9'}, 'rows': rows}
    (tmp_path / 'reference.json').write_text(json.dumps(content))
    text = policies_sac_page.write(tmp_path, ENTRIES)
    means = [np.mean(row['returns'][80:]) for row in rows]
    for place, name in ((0, 'the same updates'), (2, 'an update after each step')):
        both = ', '.join(f'{x:.0f}' for x in sorted(means[place : place + 2]))
        line = next(line for line in text.splitlines() if name in line)
        assert 'Pendulum-v1' in line and line.endswith(f'| {both} |')
    (tmp_path / 'reference.json').unlink()
    assert policies_sac_page.write(tmp_path, ENTRIES) == text
    assert (tmp_path / 'sac.png').exists()


def test_a_run_grows_until_its_steps_are_taken(tmp_path):
    """An episode of the inverted pendulum without control has about 26 steps."""
    entry = ENTRIES['inverted_pendulum_none']
    entry = entry._replace(steps=60, fields=entry.fields | {'real_system': 'simulated'})
    policies_sac.run_seed(entry, 100, tmp_path / 'inverted_pendulum_none' / '100')
    metrics = tmp_path / 'inverted_pendulum_none' / '100' / 'metrics.csv'
    steps, returns = (read_table(metrics, name)[0] for name in ('env_steps', 'return'))
    assert steps[-1] >= 60 and len(steps) > 1
    # A reward of 1 for each step that does not end in a fall, as Gymnasium pays it.
    np.testing.assert_array_equal(returns, np.diff(steps, prepend=0.0) - 1.0)
    text = policies_sac_page.write(tmp_path, {'inverted_pendulum_none': entry})
    assert f'| no control | 100 to 100 | {returns.mean():.0f} |' in text


def test_the_pendulum_costs_what_gymnasiums_does(equations_pendulum):
    task, state = policies_sac.pendulum_v1(), equations_pendulum.task.reset
    start = equations_pendulum.state(state(mpq_jax.base.keys.seed_keys([0])[0]))
    reading = equations_pendulum.read(equations_pendulum.true_model(), start)
    cost = task.cost(reading, start.variables, np.array([0.5], np.float32))
    angle, speed = float(start.qpos[0]), float(start.qvel[0])
    np.testing.assert_allclose(cost, angle**2 + 0.1 * speed**2 + 0.001 * 1.0**2, rtol=1e-5)


def test_the_floor_has_all_products_of_an_update():
    """Three networks forth and back: multiplications counted by hand for HalfCheetah's sizes."""
    hidden = 256 * 256 * 256
    squares = sum(count * m * k * n for count, m, k, n in sac_speed.products() if m == k == n)
    assert squares == 16 * hidden
    rest = sum(count * m * k * n for count, m, k, n in sac_speed.products()) - 16 * hidden
    narrow = 3 * 17 + 4 * 12 + 8 * 23 + 12 * 1 + 2 * 6  # inputs, outputs, slope in the action
    assert rest == narrow * 256 * 256


def test_the_command_shows_what_there_is_and_refuses_what_there_is_not(tmp_path):
    result = run('policies_sac', '--draw_only', f'--run_dir={tmp_path}')
    assert result.returncode == 0 and not result.stdout.strip()
    assert run('policies_sac', '--entries=acrobot', f'--run_dir={tmp_path}').returncode == 2
