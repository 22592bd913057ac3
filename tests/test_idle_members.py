"""Runs of which a member takes no step or learns nothing: what is said, and the exit code."""

import json
import re

import pytest

import mpq_jax
from mpq_jax.base.validation import NothingLearnedError
from mpq_jax.runs.metrics import read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.divergence import IdleMembers
from tests.conftest import broken_task
from tests.entry_points import run


def rows(env_steps, nonfinite_targets, seed=0):
    """One episode of one member."""
    row = {'variant': 0, 'seed': seed, 'env_steps': env_steps}
    return [row | {'nonfinite_targets': nonfinite_targets}]


@pytest.mark.parametrize(
    ('block', 'said'),
    [
        ([rows(10, 0.5)], []),
        ([rows(10, None)], []),
        ([rows(0, None)], ['seed 0 took no control step']),
        ([rows(0, None), rows(10, 0.0)], []),
        ([rows(10, 1.0)], ['seed 0 learned nothing']),
        ([rows(10, 1.0), rows(20, 0.0)], []),
        ([rows(10, 1.0) + rows(0, None, seed=4)], ['seed 4 took no control step.*seed 0 learned']),
    ],
)
def test_who_took_or_learned_nothing(block, said):
    block = [[row | {'episode': e} for row in own] for e, own in enumerate(block)]
    heard = []
    idle = IdleMembers(heard.append)
    idle.look(block)
    idle.look(block)
    assert len(heard) == len(said)
    for text, expected in zip(heard, said, strict=True):
        assert re.search(expected, text)


def test_the_exit_code_tells(tmp_path):
    fields = {'num_seeds': 1, 'planner.horizon': 2, 'planner.num_samples': 4,
              'belief.num_draws': 1}  # fmt: skip
    ended = run('train', '--agent=mppi', '--episodes=1', '--task=tests.conftest:broken_task',
                f'--run_dir={tmp_path / "run"}',
                *(f'--set={name}={value}' for name, value in fields.items()))  # fmt: skip
    assert ended.returncode == 3
    assert 'so far seed 0 took no control step' in ended.stdout
    assert 'error: seed 0 took no control step' in ended.stderr
    closing = ended.stdout.rpartition('┏')[2]
    assert 'took no control' in closing and 'nan' in closing
    directory = RunDirectory(tmp_path / 'run')
    assert [row['return'] for row in read_rows(directory.metrics_file)] == ['nan']
    manifest = json.loads(directory.manifest_file.read_text())
    assert manifest['finished_episodes'] == 1 and manifest['idle_members'][0]['seed'] == 0


def test_what_a_run_without_a_step_gives_to_read(tmp_path):
    """Its returns are NaN wherever they are read; NaN is never the best."""
    mpq_jax.register_task('broken', broken_task)
    sizes = {'num_seeds': 2, 'episodes': 2, 'planner.horizon': 2, 'planner.num_samples': 4,
             'belief.num_draws': 1, 'learner.num_states': 16, 'learner.epochs': 1,
             'learner.minibatch_size': 8, 'learner.buffer_capacity': 25,
             'training.validation_interval': 1, 'training.validation_episodes': 1}  # fmt: skip
    config = mpq_jax.set_fields(mpq_jax.preset('broken'), sizes)
    with pytest.raises(NothingLearnedError):
        mpq_jax.train(config, tmp_path / 'run')
    for row in read_rows(tmp_path / 'run' / 'metrics.csv'):
        assert row['return'] == row['validation_return'] == 'nan'
    result = mpq_jax.evaluate(tmp_path / 'run', 2)
    assert result['parameters'] == 'last'  # no validation was the best
    assert result['return']['mean'] is None
    json.dumps(result, allow_nan=False)
