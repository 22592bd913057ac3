"""A batch: a config's seeds and variants beside each other, what is kept of it, what is refused."""

import json

import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.runs.continuing import check_matches
from mpq_jax.runs.run_directory import RunDirectory
from tests.conftest import tiny_config

WARM = ({'planner.temperature': 0.1}, {'planner.temperature': 2})
BATCH = mpq_jax.Batch(tiny_config(seed=3), WARM)


def test_members_are_every_variant_with_every_seed():
    assert BATCH.members == ((0, 3), (0, 4), (1, 3), (1, 4))
    for (variant, seed), config in zip(BATCH.members, BATCH.configs(), strict=True):
        temperature = WARM[variant]['planner.temperature']
        expected = {'seed': seed, 'num_seeds': 1, 'planner.temperature': float(temperature)}
        assert config == mpq_jax.set_fields(BATCH.config, expected)
    assert mpq_jax.Batch.of(BATCH.config).members == ((0, 3), (0, 4))
    assert mpq_jax.Batch.of(BATCH) is BATCH


def test_a_run_directory_keeps_it(tmp_path):
    run = RunDirectory(tmp_path / 'run')
    run.create(BATCH)
    assert run.read_batch() == BATCH.validate() and run.read_config() == BATCH.config
    one = RunDirectory(tmp_path / 'one')
    one.create(BATCH.config)
    assert 'variants' not in json.loads(one.config_file.read_text())
    assert one.read_batch() == mpq_jax.Batch(BATCH.config)


@pytest.mark.parametrize(
    ('variants', 'message'),
    [
        ((WARM[0], {'planner.step_size': 0.5}), 'the same fields in each'),
        ((WARM[0], 0.5), 'a list of objects'),
        ({'planner.temperature': 0.1}, 'a list of objects'),
        (({'planner.horizon': 4},), "variants = 'planner.horizon' is not allowed"),
        (({'planner.temperature': 'warm'},), 'planner.temperature = .*a number'),
        (({'planner.temperature': -1.0},), 'planner.temperature = -1.0'),
    ],
)
def test_what_it_cannot_be(variants, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        mpq_jax.train(mpq_jax.Batch(tiny_config(), variants), tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_a_checkpoint_of_other_variants_is_refused():
    with pytest.raises(ConfigError, match='variants = '):
        check_matches(BATCH, mpq_jax.Batch(BATCH.config))


def test_variants_are_no_field_of_a_config():
    with pytest.raises(ConfigError, match=r'mpq sweep.*mpq_jax\.Batch'):
        mpq_jax.set_fields(BATCH.config, {'variants': WARM})
