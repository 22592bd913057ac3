"""Preset 'published' of DeMoRL and its kin: valid, and the numbers of their code."""

import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import TaskError
from mpq_jax.suite.gymnasium import published
from mpq_jax.suite.presets import preset

AGENTS = ('sac', 'demorl', 'mopac', 'mbpo')


def published_config(environment_id, agent):
    try:
        return preset(f'gymnasium:{environment_id}', agent, 'published')
    except TaskError:
        pytest.skip('Gymnasium is not installed')


@pytest.mark.parametrize('environment_id', ['HalfCheetah-v5', 'Humanoid-v5'])
def test_presets_are_whole_and_valid(environment_id):
    for agent in AGENTS:
        config = published_config(environment_id, agent).validate()
        assert config.sac.random_steps == 5000 and config.sac.hidden_width == 256
    with pytest.raises(mpq_jax.ConfigError, match=r"preset = 'published'.*default"):
        preset(f'gymnasium:{environment_id}', 'mppi', 'published')


def test_halfcheetahs_numbers_are_those_of_the_code():
    """200 000 transitions of five steps are kept; half of a minibatch is real after 35 000."""
    demorl, mopac, mbpo = (published_config('HalfCheetah-v5', name) for name in AGENTS[1:])
    own = demorl.demorl
    assert own.capacity(demorl.planner.horizon) == 200_000
    steps = np.array([0.0, 35_000.0, 70_000.0, 90_000.0])
    share = own.at(steps, own.real_share_first, own.real_share_last)
    np.testing.assert_allclose(share, [0.2, 0.5, 0.8, 0.8])
    assert demorl.demorl == mopac.demorl and demorl.sac == mopac.sac
    assert (demorl.planner.loss, mopac.planner.loss) == ('low_cost', 'exponential_utility')
    assert mopac.planner.temperature == 1.0 and mopac.planner.num_samples == 100
    assert demorl.sac.updates_per_step == 40 and demorl.sac.target_entropy_scale == 0.0
    assert mbpo.planner.iterations == 0 and mbpo.sac.target_entropy_scale * 6 == 3.0
    assert mbpo.demorl.real_share_last == 0.05 and mbpo.planner.horizon == 1


def test_lengths_and_shares_that_move_have_their_own_schedule():
    of = published.presets('Humanoid-v5')['published']
    assert of['demorl']['demorl.schedule_until'] == 80_000.0
    assert (of['demorl']['demorl.length_first'], of['demorl']['demorl.length_last']) == (5.0, 15.0)
    hopper = published.presets('Hopper-v5')['published']['mbpo']
    assert hopper['demorl.schedule_from'] == 20_000.0 and hopper['planner.horizon'] == 15
    assert not published.presets('Reacher-v5')
