"""mpq distil: a run in a run, held beside its planner; its files for other programs; bad input."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import mpq_jax
from mpq_jax.evaluation.distillation import export, onnx_file
from mpq_jax.evaluation.distillation.comparing import in_words
from mpq_jax.report import write_report
from mpq_jax.runs.metrics import read_table
from mpq_jax.runs.run_directory import RunDirectory
from tests.conftest import lq_task, tiny_lq_config
from tests.test_kills import assert_same, outcome

FIELDS = {
    'episodes': 3, 'distil.expert_episodes': 1, 'distil.hidden_width': 8, 'distil.epochs': 3,
}  # fmt: skip
JAX_PROGRAM = """
import sys
import jax.export, numpy as np
with open(sys.argv[1], 'rb') as file:
    policy = jax.export.deserialize(bytearray(file.read()))
assert policy.platforms == ('cpu', 'cuda')
observations = np.load(sys.argv[2])
np.save(sys.argv[3], np.asarray(policy.call(observations)))
assert 'mpq_jax' not in sys.modules
"""
ONNX_PROGRAM = """
import json, sys
import numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
observations = np.load(sys.argv[2])
[actions] = session.run(['action'], {'observation': observations})
np.save(sys.argv[3], actions)
about = session.get_modelmeta().custom_metadata_map
assert json.loads(about['observation']) == ['place']
assert json.loads(about['action']) == ['action[0]'] and about['seed'] == '5'
assert about['control_timestep'] == '0.1' 
assert 'in [-1, 1], held for 0.1 seconds' in about['action_meaning']
assert not {'mpq_jax', 'jax'} & set(sys.modules)
"""


def trained(path, **fields):
    own = {'task': 'named_lq', 'num_seeds': 2, 'seed': 4, 'episodes': 2}
    mpq_jax.register_task('named_lq', lambda: lq_task(observation_names=('place',)))
    return mpq_jax.train(tiny_lq_config(**(own | fields)), path)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp('distil') / 'run')


@pytest.fixture(scope='module')
def result(run):
    return mpq_jax.distil(run.path, FIELDS, test_episodes=3)


def test_both_are_held_together_on_the_same_starts(run, result):
    assert result == json.loads((run.path / 'distilled' / 'distilled.json').read_text())
    for path, part in ((run.path, 'planner'), (run.path / 'distilled', 'policy')):
        own = mpq_jax.evaluate(path, 3, write=False)['return']['per_seed']
        for seed in ('4', '5'):
            figure = result[part]['return']['per_seed'][seed]
            np.testing.assert_allclose(figure, own[seed]['mean'], rtol=1e-4)
    apart = result['policy_minus_planner']['return']
    wanted = result['policy']['return']['mean'] - result['planner']['return']['mean']
    np.testing.assert_allclose(apart['mean'], wanted, atol=2e-4)
    assert apart['low'] is None  # of two seeds there is no interval
    assert not (run.path / 'evaluation.json').exists()  # nothing of the planner's run is touched
    seconds = result['seconds_of_an_action']
    text = in_words(seconds)
    assert f'the planner at {1e3 * seconds["planner"]["compiled"]:.3g} ms' in text
    assert all(x > 0 for part in ('planner', 'policy') for x in seconds[part].values())


@pytest.mark.parametrize(
    ('ending', 'program', 'tolerance'), [('jax', JAX_PROGRAM, 1e-7), ('onnx', ONNX_PROGRAM, 2e-6)]
)
def test_files_are_loaded_without_this_library(run, result, tmp_path, ending, program, tolerance):
    assert len(program.strip().splitlines()) <= 20
    file = run.path / 'distilled' / f'policy_seed5.{ending}'
    assert file.name in result['files']
    observations = np.random.default_rng(0).normal(0.0, 2.0, (7, 1)).astype(np.float32)
    np.save(tmp_path / 'in.npy', observations)
    (tmp_path / 'program.py').write_text(program)
    called = [sys.executable, 'program.py', str(file.resolve()), 'in.npy', 'out.npy']
    done = subprocess.run(called, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    controller = mpq_jax.load_controller(run.path, seed=5, policy=True)
    wanted = [controller.act_on(observation) for observation in observations]
    np.testing.assert_allclose(np.load(tmp_path / 'out.npy'), wanted, atol=tolerance)
    assert np.ptp(wanted) > 1e-3


def test_without_onnx_it_says_how_to_install_it(run, result, tmp_path, monkeypatch):
    for module in (export, onnx_file):
        monkeypatch.setattr(module, 'onnx_version', lambda: None)
    shutil.copytree(run.path / 'distilled', tmp_path / 'distilled')
    said = []
    files, _ = export.export_policies(tmp_path / 'distilled', said.append)
    assert files == ['policy_seed4.jax', 'policy_seed5.jax']
    assert said == ["ONNX files need the extra `export`: pip install 'mpq_jax[export]'"]


def test_a_controller_acts_on_positions_as_on_what_is_observed_there(run, result, tmp_path):
    by_run = mpq_jax.load_controller(run.path, seed=4, policy=True)
    moved = tmp_path / 'elsewhere'
    shutil.copytree(run.path, moved)
    alone = mpq_jax.load_controller(moved / 'distilled', seed=4)
    for place in (-0.7, 0.2):
        action = by_run.act([place], [0.0])
        np.testing.assert_array_equal(action, by_run.act_on([place]))
        np.testing.assert_array_equal(action, alone.act([place], [0.0]))
    for wrong in ([0.0, 0.0], [np.nan], None):
        with pytest.raises(mpq_jax.ConfigError, match=r'observation = .*finite'):
            by_run.act_on(wrong)
    assert mpq_jax.load_controller(run.path, seed=4).act([0.2], [0.0]) != action  # the planner


def test_stopped_and_resumed_is_as_never_stopped(run, result, tmp_path):
    whole = run.path / 'distilled'
    config = RunDirectory(whole).read_config()
    part = mpq_jax.train(mpq_jax.set_fields(config, {'episodes': 2}), tmp_path / 'part')
    mpq_jax.train(config, part.path, resume=True)
    assert_same(outcome(part.path, config), outcome(whole, config))


def test_values_side_by_side_and_a_fit_that_diverges(run, tmp_path):
    """A member whose steps are too large is put back, round by round, beside one that learns."""
    config = tiny_lq_config(
        task='named_lq', agent='distilled', from_run=str(run.path), seed=4, **FIELDS
    )
    batch = mpq_jax.Batch(config, [{'distil.learning_rate': x} for x in (1e-3, 3e38)])
    tables = mpq_jax.train(batch, tmp_path / 'run').metrics_file
    losses, restores = (read_table(tables, name) for name in ('policy_loss', 'policy_restores'))
    assert np.isfinite(losses[:2]).all() and np.isnan(losses[2:]).all()
    assert restores[:, -1].tolist() == [0, 0, 3, 3]
    returns = read_table(tables, 'return')
    np.testing.assert_array_equal(returns[:2, 0], returns[2:, 0])  # the planner's, in both


def test_what_cannot_be_distilled_is_named(run, result, tmp_path):
    with pytest.raises(mpq_jax.RunError, match='holds no run'):
        mpq_jax.distil(tmp_path / 'nowhere')
    with pytest.raises(mpq_jax.RunError, match='exists already: continue it with'):
        mpq_jax.distil(run.path, FIELDS)
    with pytest.raises(mpq_jax.ConfigError, match=r'plans, not of .distilled'):
        mpq_jax.distil(run.path / 'distilled')
    idle = trained(tmp_path / 'idle', agent='none', episodes=1)
    with pytest.raises(mpq_jax.ConfigError, match=r"from_run.*plans, not of 'none'"):
        mpq_jax.distil(idle.path)
    unfinished = tmp_path / 'unfinished'
    shutil.copytree(idle.path, unfinished)
    manifest = json.loads((unfinished / 'manifest.json').read_text())
    manifest.pop('finished_episodes')
    (unfinished / 'manifest.json').write_text(json.dumps(manifest))
    with pytest.raises(mpq_jax.RunError, match=r'not at its end: continue it with .*--resume'):
        mpq_jax.distil(unfinished)
    for fields, named in (
        ({'belief.bias': 0.0}, r'belief.bias = 0.0.*1.0, as in from_run'),
        (
            {'planner.name': 'random_shooting'},
            "planner.name = 'random_shooting'.*'mppi', as in from_run",
        ),
        ({'distil.epochs': 0}, 'distil.epochs = 0.*at least 1'),
        ({'distil.expert_parameters': 'first'}, 'one of last, best'),
    ):
        shutil.rmtree(tmp_path / 'again', ignore_errors=True)
        shutil.copytree(run.path, tmp_path / 'again', ignore=shutil.ignore_patterns('distilled'))
        with pytest.raises(mpq_jax.ConfigError, match=named):
            mpq_jax.distil(tmp_path / 'again', fields)
        assert not (tmp_path / 'again' / 'distilled').exists()


def test_its_page_shows_how_the_policy_learned(run, result):
    page = write_report(run.path / 'distilled').read_text()
    assert 'loss of the policy' in page and 'gradient steps of a round' in page


def test_names_of_an_observation_are_as_many_as_it_has_entries():
    mpq_jax.register_task('misnamed', lambda: lq_task(observation_names=('x', 'y')))
    with pytest.raises(mpq_jax.TaskError, match='2 observation_names, and observe gives 1'):
        mpq_jax.load_task('misnamed')
