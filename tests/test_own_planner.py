"""A planner of one's own, from the README of `planning`: its fields, sweeps, resume, refusals."""

import json
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mpq_jax
from mpq_jax.base import trust
from mpq_jax.base.validation import ConfigError, RunError
from mpq_jax.comparison import baselines as comparison
from mpq_jax.planning import planner as planning
from mpq_jax.runs.metrics import read_rows
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.assembly import count_work
from tests.conftest import LQ, tiny_lq_config
from tests.entry_points import ROOT, run

README = (Path(ROOT) / 'mpq_jax' / 'planning' / 'README.md').read_text()
CEM = 'own_cem:make_planner'
FLAGS = [
    '--task=tests.conftest:lq_task', '--agent=mppi', f'--planner={CEM}', '--num_seeds=2',
    '--horizon=3', '--episodes=2', '--set=planner.num_samples=16', '--set=belief.num_draws=1',
]  # fmt: skip


@pytest.fixture(scope='module', autouse=True)
def own_cem(tmp_path_factory):
    """The README's planner as a module of the user's."""
    folder = tmp_path_factory.mktemp('own')
    (code,) = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
    (folder / 'own_cem.py').write_text(code)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield
    sys.modules.pop('own_cem', None)


def test_it_is_the_cross_entropy_method():
    """An update of mean and deviation against NumPy: the elites' own, smoothed."""
    cem = mpq_jax.load_planner(CEM)
    config = mpq_jax.set_fields(
        tiny_lq_config(agent='mppi'), {'planner.name': CEM, 'planner.num_elites': 3}
    ).planner
    plan = cem.init(config, 1)
    candidates = cem.sample(config, plan, jax.random.key(0))
    costs = jnp.array([3.0, jnp.inf, 1.0, 2.0])
    mean, deviation = cem.update(config, plan, candidates, costs).plan
    elites = np.asarray(candidates.actions)[[0, 2, 3]]
    np.testing.assert_allclose(mean, 0.5 * elites.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(deviation, 0.5 * 0.5 + 0.5 * elites.std(axis=0), rtol=1e-5)
    unchanged = cem.update(config, plan, candidates, jnp.full(4, jnp.inf)).plan
    jax.tree.map(np.testing.assert_array_equal, unchanged, plan)


def test_it_finds_the_first_action_of_the_linear_quadratic_task():
    """Two steps to go: the minimiser of stage costs in closed form, from half a metre away."""
    fields = {'planner.name': CEM, 'planner.num_samples': 256, 'planner.num_elites': 16}
    fields |= {'planner.horizon': 2, 'planner.iterations': 12, 'planner.discount': 1.0}
    config = mpq_jax.set_fields(tiny_lq_config(agent='mppi'), fields)
    controller = mpq_jax.make_controller(config)
    best = -LQ['A'] * LQ['B'] * LQ['q'] / (LQ['r'] + LQ['q'] * LQ['B'] ** 2) * 0.5
    assert abs(float(controller.act([0.5], [0.0])[0]) - best) < 0.02
    assert isinstance(controller.diagnostics, planning.Diagnostics)


def test_it_trains_resumes_and_is_reported_from_the_command_line(tmp_path):
    path = tmp_path / 'run'
    result = run('train', *FLAGS, '--set=planner.num_elites=5', f'--run_dir={path}')
    assert result.returncode == 0, result.stderr
    assert f'MPPI by {CEM} H=3' in result.stdout
    planner = json.loads((path / 'config.json').read_text())['planner']
    assert (planner['name'], planner['num_elites'], planner['num_samples']) == (CEM, 5, 16)
    again = run('train', '--resume', f'--run_dir={path}', '--episodes=3', f'--planner={CEM}')
    assert again.returncode == 0 and len(read_rows(path / 'metrics.csv')) == 2 * 3
    for command in ('evaluate', 'report'):
        assert run(command, f'--run_dir={path}').returncode == 0


def test_its_numbers_are_one_batch_and_its_sizes_cells_of_a_sweep(tmp_path):
    swept = ['--sweep=planner.num_elites=2,4', '--sweep=planner.smoothing=0.1,0.5']
    result = run('sweep', *FLAGS, *swept, f'--run_dir={tmp_path}/sweep')
    assert result.returncode == 0, result.stderr
    cells = json.loads((tmp_path / 'sweep' / 'sweep.json').read_text())['cells']
    assert [cell['directory'] for cell in cells] == [
        'cells/planner.num_elites=2', 'cells/planner.num_elites=4'
    ]  # fmt: skip
    assert all(len(cell['configurations']) == 2 for cell in cells)


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (['--set=planner.num_elits=3'], "did you mean 'planner.num_elites'"),
        (['--set=planner.num_elites=few'], 'planner.num_elites = .*a whole number'),
        (['--set=planner.temperature=0.1'], "'planner.temperature' is not allowed"),
        (['--agent=mpq'], 'planner.name = .*a soft value'),
        (['--planner=own_cem:no_such'], 'planner.name = .*cannot be imported'),
        (['--planner=mpi'], "one of mppi.*did you mean 'mppi'"),
        (['--planner=tests.conftest:lq_task'], 'planner.name = .*Planner whose config'),
    ],
)
def test_what_cannot_be_used_is_named(flags, message, tmp_path):
    result = run('train', *FLAGS, *flags, f'--run_dir={tmp_path}/run')
    assert result.returncode == 2 and re.search(message, result.stderr), result.stderr
    assert not (tmp_path / 'run').exists()


def test_a_file_does_not_say_which_planner_to_import(tmp_path, monkeypatch):
    run_dir = RunDirectory(tmp_path / 'run')
    config = mpq_jax.set_fields(tiny_lq_config(agent='mppi'), {'planner.name': CEM})
    run_dir.create(config)
    monkeypatch.setattr(trust, '_named', {'tests.conftest:lq_task'})
    with pytest.raises(RunError, match=f'names the planner .*--planner={CEM}'):
        mpq_jax.evaluate(run_dir.path)
    advice = f'--resume --task=tests.conftest:lq_task --planner={CEM}'
    assert advice in run_dir.how_to_resume(config)
    mpq_jax.load_planner(CEM)
    assert run_dir.read_config().planner.num_elites == 4


def test_a_registered_name_serves_as_well():
    mpq_jax.register_planner('cem', lambda: mpq_jax.load_planner(CEM))
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum', 'mppi'), {'planner.name': 'cem'})
    assert config.planner.horizon == mpq_jax.preset('pendulum', 'mppi').planner.horizon
    with pytest.raises(ConfigError, match='num_elites'):
        mpq_jax.set_fields(config, {'planner.num_elites': 2.5})


def test_what_it_is_held_against_is_mppi_and_no_control():
    fields = {'planner.name': CEM, 'training.baselines': True}
    variants = ({'planner.smoothing': 0.1}, {'planner.smoothing': 0.2})
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum'), fields)
    held = comparison.baselines(mpq_jax.Batch(config, variants))
    assert {each.config.planner.name for each in held.values()} == {'mppi'} and len(held) > 1
    assert all(each.variants == () and count_work(each).total >= 0 for each in held.values())
