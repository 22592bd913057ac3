"""What users can get wrong: each error names the field, the value and what is allowed."""

import dataclasses
import shutil

import pytest

import mpq_jax
from mpq_jax.base.validation import ConfigError, RunError, TaskError
from mpq_jax.config import overrides
from mpq_jax.config.fields import parse_overrides
from mpq_jax.evaluation.loading import load_run
from mpq_jax.runs.checkpoint import Checkpointer
from mpq_jax.runs.run_directory import RunDirectory
from tests.conftest import tiny_config


@pytest.mark.parametrize(
    ('field', 'value', 'allowed'),
    [
        ('planner.horizon', 0, 'at least 1'),
        ('belief.num_draws', 13, r'at most planner\.num_samples = 12'),
        ('planner.temperature', -1.0, 'above 0'),
        ('planner.temperature', float('nan'), 'above 0'),
        ('planner.noise_variance', 0.0, 'above 0'),
        ('planner.step_size', 1.5, 'at most 1'),
        ('planner.discount', 1.1, 'at most 1'),
        ('planner.control_discount', -0.1, 'at least 0'),
        ('belief.redraw', 'sometimes', 'one of run, episode'),
        ('belief.bank_size', 0, 'at least 1'),
        ('planner.pooling', 'perdraw', "did you mean 'per_draw'"),
        ('learner.mode', 'fit', "did you mean 'fitted'"),
        ('learner.num_states', 8, r'at least learner\.minibatch_size'),
        ('learner.learning_rate', float('inf'), 'above 0'),
        ('learner.target_iterations', -1, 'at least 0'),
        ('learner.polyak', 0.0, 'above 0'),
        ('learner.q_scale', 0.0, 'above 0'),
        ('execution.memory_gib', -1.0, 'at least 0'),
        ('planner_physics.backend', 'bullet', 'one of auto, jax, mjx, mujoco, equations'),
        ('planner_model', 'wrong', 'one of biased, true'),
        ('agent', 'mpc', "did you mean 'mppi'|one of mpq"),
        ('num_seeds', 0, 'at least 1'),
        ('episodes', 0, 'at least 1'),
        ('seed', -1, 'at least 0'),
    ],
)
def test_a_value_out_of_range(field, value, allowed):
    config = mpq_jax.set_fields(tiny_config(), {field: value})
    with pytest.raises(ConfigError, match=allowed) as error:
        config.validate()
    assert error.value.field == field and repr(value) in str(error.value)


def test_settings_that_do_not_go_together():
    with pytest.raises(ConfigError, match="1 when agent is 'softq'"):
        tiny_config(**{'agent': 'softq', 'planner.horizon': 4}).validate()
    with pytest.raises(ConfigError, match=r'multiple of belief\.num_draws'):
        tiny_config(**{'planner.pooling': 'per_draw', 'belief.num_draws': 5}).validate()
    with pytest.raises(ConfigError, match='at least 200, one episode'):
        mpq_jax.train(tiny_config(**{'learner.buffer_capacity': 100}), 'never_made')


@pytest.mark.parametrize('physics', ['planner_physics', 'real_physics'])
def test_a_timestep_that_does_not_divide_the_control_step(physics):
    config = tiny_config(**{f'{physics}.backend': 'mjx', f'{physics}.timestep': 7.0})
    with pytest.raises(ConfigError, match='a whole fraction of') as error:
        mpq_jax.train(config, 'never_made')
    assert error.value.field == f'{physics}.timestep'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('planner.temprature=1', "did you mean 'planner.temperature'"),
        ('planner.horizon=3.5', 'a whole number'),
        ('planner.horizon=many', 'a whole number'),
        ('planner.temperature=warm', 'a number'),
        ('learner.target_network=maybe', 'true or false'),
        ('planner.horizon', 'of the form field=value'),
        ('planner=3', 'a field of the config'),
    ],
)
def test_an_override_that_cannot_be_read(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_overrides([text])


def test_overrides_are_typed():
    values = parse_overrides(
        ['planner.horizon=3', 'planner.temperature=2', 'learner.target_network=True', 'task=a:b']
    )
    assert values == {
        'planner.horizon': 3,
        'planner.temperature': 2.0,
        'learner.target_network': True,
        'task': 'a:b',
    }
    assert isinstance(values['planner.temperature'], float)


def test_configs_survive_json():
    config = tiny_config()
    assert overrides.from_dict(overrides.to_dict(config)) == config
    with pytest.raises(ConfigError, match=r"'planner\.speed'"):
        overrides.from_dict({'planner': {'speed': 1}})
    with pytest.raises(ConfigError, match=r'planner\.horizon = 2\.5'):
        overrides.from_dict({'planner': {'horizon': 2.5}})


def test_table_3_is_the_preset():
    """Bhardwaj et al., full version, Table 3: pendulum and ball in cup."""
    planner = mpq_jax.preset('pendulum', 'mpq', 'paper').planner
    numbers = (planner.horizon, planner.num_samples, planner.noise_variance, planner.temperature)
    assert numbers == (8, 24, 4.0, 0.15)
    assert (planner.step_size, planner.discount) == (0.5, 0.9)
    assert mpq_jax.preset('pendulum', 'mpq', 'paper').learner.target_iterations == 3
    planner = mpq_jax.preset('ball_in_cup', 'mpq', 'paper').planner
    numbers = (planner.horizon, planner.num_samples, planner.noise_variance, planner.temperature)
    assert numbers == (4, 36, 4.0, 0.15)
    assert (planner.step_size, planner.discount) == (0.55, 0.9)
    softq = mpq_jax.preset('pendulum', 'softq')
    assert softq.planner.horizon == 1 and softq.learner.target_network
    with pytest.raises(ConfigError, match='one of default, paper'):
        mpq_jax.preset('pendulum', 'mpq', 'papers')


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('pendulun', "did you mean 'pendulum'"),
        ('no_such_module:make', 'cannot be imported'),
        ('tests.conftest:no_such_factory', 'cannot be imported'),
        ('tests.conftest:tiny_config', 'must return a Task'),
    ],
)
def test_a_task_that_cannot_be_had(name, message):
    with pytest.raises(TaskError, match=message):
        mpq_jax.load_task(name)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp('bad') / 'run'
    mpq_jax.train(tiny_config(**{'episodes': 2, 'training.validation_episodes': 0}), path)
    return path


@pytest.fixture
def copied(trained, tmp_path):
    path = tmp_path / 'run'
    shutil.copytree(trained, path)
    return path


def contents(path):
    return {p.relative_to(path): p.read_bytes() for p in path.rglob('*') if p.is_file()}


def test_an_existing_run_is_never_overwritten(copied):
    before = contents(copied)
    with pytest.raises(RunError, match=r'exists already.*--resume'):
        mpq_jax.train(tiny_config(), copied)
    assert contents(copied) == before


def test_no_run_and_no_checkpoint(tmp_path, copied):
    with pytest.raises(RunError, match='holds no run'):
        mpq_jax.evaluate(tmp_path / 'nothing')
    with pytest.raises(RunError, match='holds no run'):
        mpq_jax.train(tiny_config(), tmp_path / 'nothing', resume=True)
    assert not (tmp_path / 'nothing').exists()
    shutil.rmtree(copied / 'checkpoints')
    with pytest.raises(RunError, match='no checkpoint'):
        mpq_jax.evaluate(copied)


def damage(checkpoint):
    """Empties every data file of a checkpoint."""
    for file in checkpoint.rglob('*'):
        if file.is_file():
            file.write_bytes(b'')


def test_a_corrupt_checkpoint_is_skipped_and_named(copied):
    damage(copied / 'checkpoints' / 'episode_2')
    _, saved, problems = load_run(copied)
    assert saved.episode == 1
    assert len(problems) == 1 and 'episode_2' in problems[0] and 'unreadable' in problems[0]


def test_an_empty_checkpoint_is_skipped(copied):
    shutil.rmtree(copied / 'checkpoints' / 'episode_2')
    (copied / 'checkpoints' / 'episode_2').mkdir()
    assert load_run(copied)[1].episode == 1


def test_only_corrupt_checkpoints_are_an_error(copied):
    before = (copied / 'metrics.csv').read_bytes()
    for checkpoint in (copied / 'checkpoints').iterdir():
        damage(checkpoint)
    with pytest.raises(RunError, match=r'(?s)no checkpoint can be read.*episode_2.*episode_1'):
        mpq_jax.train(RunDirectory(copied).read_config(), copied, resume=True)
    assert (copied / 'metrics.csv').read_bytes() == before


@pytest.mark.parametrize(
    ('field', 'value'),
    [('planner.temperature', 0.3), ('planner.horizon', 5), ('num_seeds', 3), ('seed', 1)],
)
def test_a_config_that_does_not_match_the_checkpoint(copied, field, value):
    before = contents(copied)
    config = mpq_jax.set_fields(RunDirectory(copied).read_config(), {field: value, 'episodes': 9})
    with pytest.raises(ConfigError, match=rf'{field} = {value}.*checkpoint'):
        mpq_jax.train(config, copied, resume=True)
    assert contents(copied) == before


def test_a_config_that_cannot_be_read(copied):
    (copied / 'config.json').write_text('{"planner": {"horizon": "eight"}}')
    with pytest.raises(RunError, match=r'config\.json cannot be used.*planner\.horizon'):
        mpq_jax.evaluate(copied)


def test_metrics_with_other_columns(copied):
    (copied / 'metrics.csv').write_text('a,b\n1,2\n')
    config = dataclasses.replace(RunDirectory(copied).read_config(), episodes=3)
    with pytest.raises(RunError, match='other columns'):
        mpq_jax.train(config, copied, resume=True)


def test_checkpoints_are_bounded(trained):
    assert len(list((trained / 'checkpoints').iterdir())) == 2
    checkpointer = Checkpointer(trained / 'checkpoints')
    checkpointer.close()
