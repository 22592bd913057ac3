"""Configs and checkpoints of older revisions: read as they were meant, or refused by name."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config import Batch, overrides
from mpq_jax.config.versions import RENAMED, VERSION
from mpq_jax.runs import saved_state
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.sweep.sweep_directory import SweepDirectory
from tests.conftest import tiny_config

# As revision 51eaf71 wrote it, every field another than its default.
OLD = json.loads((Path(__file__).parent / 'reference' / 'config_51eaf71.json').read_text())


def test_a_config_of_51eaf71_is_what_it_was():
    batch = Batch.from_dict(OLD)
    config, written = batch.config, batch.to_dict()
    for part in ('planner', 'learner', 'training'):
        for name, value in OLD[part].items():
            new = RENAMED.get(f'{part}.{name}', f'{part}.{name}').split('.')
            assert written[new[0]][new[1]] == value, name
    assert config.belief.num_draws == 5 and config.execution.sample_chunk == 3
    assert batch.variants == ({'belief.bias': 0.25}, {'belief.bias': 0.75})
    assert written['version'] == VERSION and Batch.from_dict(written) == batch
    assert config.planner.name == 'mppi' and config.starts == 'reports'
    # What was begun on arrays goes on there.
    assert config.planner_physics.straight_line == config.real_physics.straight_line == 'off'


def test_a_newer_config_is_refused(tmp_path):
    newer = overrides.to_dict(tiny_config()) | {'version': VERSION + 1}
    with pytest.raises(ConfigError, match=f'version = {VERSION + 1} is not allowed'):
        overrides.from_dict(newer)
    (tmp_path / 'config.json').write_text(json.dumps(newer))
    with pytest.raises(RunError, match='at most'):
        RunDirectory(tmp_path).read_config()


@pytest.mark.parametrize('name', RENAMED)
def test_an_old_name_leads_to_the_new_one(name):
    with pytest.raises(ConfigError, match=f"it is '{RENAMED[name]}' now"):
        mpq_jax.set_fields(tiny_config(), {name: 1})


def test_a_sweep_of_51eaf71_goes_on_by_the_new_names(tmp_path):
    cell = {'directory': 'cells/all', 'configurations': [{'planner.model_bias': 0.5}], 'seeds': [0]}
    old = {'fixed': {'planner.redraw': 'run'}, 'swept': {'planner.model_bias': [0.5]}}
    old |= {'seeds': [0], 'episodes': 1, 'cells': [cell]}
    (tmp_path / 'sweep.json').write_text(json.dumps(old))
    read = SweepDirectory(tmp_path).read()
    assert read['fixed'] == {'belief.redraw': 'run'} and read['swept'] == {'belief.bias': [0.5]}
    assert SweepDirectory(tmp_path).points == [{'belief.bias': 0.5}]


def test_the_one_return_of_the_best_validation_counts_for_each_episode():
    """Until the returns of each were kept, 51eaf71 kept their mean."""
    shapes = {'best_returns': jnp.zeros((2, 3)), 'key': jnp.zeros(2)}
    there = {'best_return': jnp.array([1.0, 2.0]), 'key': jnp.zeros(2)}
    assert saved_state.with_older(shapes, there)['best_return'].shape == (2,)
    read = saved_state.from_older(there, shapes)
    np.testing.assert_array_equal(read['best_returns'], [[1.0] * 3, [2.0] * 3])
    assert saved_state.with_older(shapes, shapes) is shapes
