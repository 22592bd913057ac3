"""DeMoRL's experiment: valid runs, the same learners for all, rows, thresholds, what is kept."""

import json

import numpy as np
import pytest

from experiments import demorl, demorl_page, return_curves
from mpq_jax import published
from mpq_jax.base.validation import TaskError
from mpq_jax.learning.policies.demorl import rollout_steps

ENTRY = demorl.ENTRIES['half_cheetah']


def row(agent, seed, returns, steps=1000):
    return {
        'entry': 'half_cheetah', 'environment': ENTRY.environment, 'agent': agent, 'seed': seed,
        'returns': list(returns), 'steps': list(range(steps, (len(returns) + 1) * steps, steps)),
        'model_steps': 10, 'gradient_steps': 20, 'seconds': 60.0,
    }  # fmt: skip


def test_costs_in_smaller_units_have_no_scale_of_q_beside_them():
    """What the task of the same environment has for MPQ was chosen for costs as they are."""
    pytest.importorskip('gymnasium', reason='the test extra is not installed')
    entry = demorl.ENTRIES['inverted_pendulum']
    biased, learned = (
        demorl.config_of(entry, f'mpq_{model}', 100) for model in ('biased', 'learned')
    )
    assert biased.learner.q_scale == learned.learner.q_scale == 1.0
    assert (biased.planner.horizon, biased.planner.noise) == (5, 'white')
    assert (learned.planner.horizon, learned.planner.noise) == (16, 'knots')


@pytest.mark.parametrize('name', list(demorl.ENTRIES))
def test_policies_differ_in_what_they_learn_from_alone(name):
    entry = demorl.ENTRIES[name]
    try:
        configs = {agent: demorl.config_of(entry, agent, 100) for agent in demorl.AGENTS}
    except TaskError:
        pytest.skip('Gymnasium is not installed')
    for config in configs.values():
        config.validate()
        assert config.real_system == 'gymnasium' and config.starts == 'reports'
    same = ('mbpo', 'mopac', 'demorl')
    assert len({configs[agent].dynamics for agent in same}) == 1
    assert len({configs[agent].demorl for agent in same}) == 1
    learners = {
        (c.sac.hidden_width, c.sac.batch_size, c.sac.updates_per_step)
        for c in (configs[agent] for agent in (*same, 'sac', 'mbpo_equal'))
    }
    assert len(learners) == 1
    assert rollout_steps(configs['mbpo_equal']) == rollout_steps(configs['demorl'])


def test_rows_of_before_are_kept_and_paired(tmp_path):
    rng = np.random.default_rng(0)
    found = {agent: rng.normal(500, 100, (5, 15)).round(1) for agent in ('sac', 'demorl')}
    rows = [row(agent, 100 + i, x) for agent, of in found.items() for i, x in enumerate(of)]
    (tmp_path / 'demorl.json').write_text(json.dumps({'rows': rows[::-1]}))
    text = demorl_page.write(tmp_path, demorl.ENTRIES, tuple(demorl.AGENTS))
    ends = {agent: of[:, 12:].mean(axis=1) for agent, of in found.items()}
    sac = next(line for line in text.splitlines() if '| SAC |' in line)
    assert ', '.join(f'{x:.0f}' for x in ends['sac']) in sac
    assert f'| {(ends["demorl"] - ends["sac"]).mean():.0f} [' in sac
    assert demorl_page.write(tmp_path, demorl.ENTRIES, tuple(demorl.AGENTS)) == text
    assert (tmp_path / 'demorl.png').exists()


def test_steps_to_a_threshold_are_of_the_mean_over_a_window():
    one = row('sac', 100, [0.0, 10.0, 20.0, 30.0])
    assert return_curves.steps_to(one, 15.0, 2000) == 3000
    assert np.isnan(return_curves.steps_to(one, 31.0, 1000))


def test_published_points_are_those_of_the_figures():
    """Three of their cells."""
    hopper = published.demorl_curves('Hopper')
    assert dict(hopper['demorl'])[20_000.0] == 3060.0 and dict(hopper['mbpo'])[50_000.0] == 3490.0
    assert dict(published.demorl_curves('HalfCheetah')['mopac'])[10_000.0] == 3250.0
    assert not published.demorl_curves('pendulum')
