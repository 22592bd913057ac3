"""Any configuration is refused by name, or runs two tiny episodes to the end on finite numbers.

A few examples in the suite; MPQ_JAX_FUZZ=200 makes it so many, other ones every time.
"""

import dataclasses
import json
import math
import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import mpq_jax
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.config.fields import field_types
from mpq_jax.runs.metrics import read_rows
from tests.conftest import tiny_config

EXAMPLES = int(os.environ.get('MPQ_JAX_FUZZ', '0'))
LOG = os.environ.get('MPQ_JAX_FUZZ_LOG')
STEPS = 10

NUMBERS = (0.0, -1.0, 1e-8, 1e-3, 0.3, 1.0, 1.5, 100.0, 1e8, 1e30, math.nan, math.inf)
SIZES = (0, -1, 1, 2, 3, 4, 7)
VALUES = {
    'agent': ('mpq', 'mppi', 'softq', 'mpc'),
    'planner_model': ('biased', 'true', 'none'),
    'q_data': ('real', 'dr', ''),
    'dr_bank_size': (0, 1, 5),
    'real_system': ('simulated', 'simulated', 'mujoco', 'own', 'gym'),
    'seed': (0, 7, -1, 2**31 - 1),
    'num_seeds': (0, 1, 2, 3),
    'episodes': (0, 2),
    **{f'planner.{name}': SIZES for name in ('horizon', 'num_samples', 'iterations')},
    **{f'belief.{name}': SIZES for name in ('num_draws', 'bank_size')},
    **{f'execution.{name}': SIZES for name in ('sample_chunk', 'target_chunk')},
    'belief.redraw': ('run', 'episode', 'step'),
    'planner.pooling': ('pooled', 'per_draw', 'mean'),
    **{
        f'planner.{name}': NUMBERS
        for name in (
            'temperature', 'noise_variance', 'step_size', 'discount', 'control_discount',
        )
    },
    **{f'belief.{name}': NUMBERS for name in ('bias', 'spread')},
    'learner.mode': ('fitted', 'per_minibatch', 'td'),
    'learner.num_states': (0, 1, 8, 21),
    'learner.minibatch_size': (0, 1, 8, 30),
    'learner.buffer_capacity': (0, 9, 10, 13, 25),
    'learner.target_network': (False, True),
    **{f'learner.{name}': SIZES for name in ('episodes_per_round', 'epochs', 'num_minibatches')},
    'learner.target_iterations': SIZES,
    **{f'learner.{name}': SIZES for name in ('hidden_width', 'hidden_layers')},
    **{f'learner.{name}': NUMBERS for name in ('learning_rate', 'polyak')},
    **{f'training.{name}': SIZES for name in ('validation_interval', 'validation_episodes')},
    **{f'training.{name}': SIZES for name in ('checkpoint_interval', 'checkpoints_to_keep')},
    'training.max_restores': (-1, 0, 10),
    'execution.memory_gib': (0.0, 1e-9, 1e-4, 1.0, math.nan),
    'real_physics.timestep': (0.0, 0.05, 0.01, -0.1, 0.03, 7.0),
    'planner_physics.timestep': (0.0, 0.05, 0.01, -0.1, 0.03, 7.0),
    'planner_physics.backend': ('equations', 'auto', 'mjc'),
    'variants': ((), ({'planner.temperature': 0.1}, {'planner.temperature': 5.0})),
}  # fmt: skip


def short_pendulum():
    return dataclasses.replace(mpq_jax.load_task('pendulum'), episode_steps=STEPS)


def small_config(fields):
    """Of the hand-written pendulum, with episodes of ten steps."""
    mpq_jax.register_task('short pendulum', short_pendulum)
    small = {
        'task': 'short pendulum',
        'episodes': 2,
        'num_seeds': 1,
        'planner.horizon': 2,
        'planner.num_samples': 4,
        'belief.num_draws': 2,
        'learner.num_states': 8,
        'learner.minibatch_size': 4,
        'learner.buffer_capacity': 20,
        'learner.hidden_width': 4,
        'learner.num_minibatches': 2,
        'training.validation_interval': 1,
    }
    return mpq_jax.set_fields(tiny_config(**small), fields)


def outcome(fields):
    """'refused' or 'ran'; anything else is a failure of the test."""
    variants = fields.get('variants', ())
    own = {name: value for name, value in fields.items() if name != 'variants'}
    batch = mpq_jax.Batch(small_config(own), variants)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            run = mpq_jax.train(batch, Path(scratch) / 'run')
        except ConfigError as error:
            known = error.field in field_types() or error.field == 'real_systems'
            assert known and error.field in str(error) and repr(error.value) in str(error)
            assert not (Path(scratch) / 'run').exists()
            return 'refused'
        except RunError as error:
            assert 'training.max_restores' in str(error)
            return 'gave up on diverging Q'
        rows = read_rows(run.metrics_file)
    assert len(rows) == 2 * len(batch.members)
    for row in rows:
        numbers = {name: float(text) for name, text in row.items() if text}
        diverged = math.isnan(numbers.pop('q_loss', 0.0))
        assert not diverged or numbers['q_restores'] > 0
        assert all(map(math.isfinite, numbers.values())), row
        assert 0 <= numbers['env_steps'] <= 2 * STEPS
    return 'ran'


def changes(values):
    names = st.lists(st.sampled_from(sorted(values)), min_size=1, max_size=9, unique=True)
    return names.flatmap(
        lambda names: st.fixed_dictionaries({n: st.sampled_from(values[n]) for n in names})
    )


def allowed_alone():
    """Of each field, the values that validation accepts where nothing else is changed."""

    def accepted(name, value):
        try:
            return bool(small_config({name: value}).validate())
        except ConfigError:
            return False

    return {name: [v for v in VALUES[name] if accepted(name, v)] for name in VALUES}


@settings(
    max_examples=EXAMPLES or 3,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=(Phase.generate,) if not EXAMPLES else (Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
@given(st.one_of(changes(allowed_alone()), changes(allowed_alone()), changes(VALUES)))
def test_any_configuration_is_refused_by_name_or_runs(fields):
    try:
        result = outcome(fields)
    except Exception as error:
        result = f'{type(error).__name__}: {str(error)[:300]}'
        raise
    finally:
        if LOG:
            with open(LOG, 'a') as file:
                file.write(json.dumps([result, fields]) + '\n')
