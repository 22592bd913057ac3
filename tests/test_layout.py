"""The house: packages on floors, imports that only go down, files of one job each."""

import ast
import importlib
from pathlib import Path

import pytest

import mpq_jax

ROOT = Path(mpq_jax.__file__).parent
# From the ground up: what stands on a floor may import what stands below it.
FLOORS = (
    ('base',),
    ('config', 'tasks', 'published'),
    ('dynamics', 'suite', 'runs'),
    ('planning',),
    ('learning',),
    ('environments', 'figures'),
    ('training',),
    ('evaluation', 'sweep', 'report'),
    ('comparison', 'benchmarks'),
    ('commands',),
)
FLOOR = {package: i for i, floor in enumerate(FLOORS) for package in floor}
PACKAGES = sorted(path.name for path in ROOT.iterdir() if (path / '__init__.py').exists())


def imported(path):
    """The packages of the house that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith('mpq_jax.'):
                yield name.split('.')[1]


def test_every_package_has_a_floor_and_there_are_ten_at_most():
    assert sorted(FLOOR) == PACKAGES and len(FLOORS) <= 10


@pytest.mark.parametrize('package', PACKAGES)
def test_imports_go_down(package):
    for path in (ROOT / package).rglob('*.py'):
        up = {
            other
            for other in imported(path)
            if other in FLOOR and other != package and FLOOR[other] >= FLOOR[package]
        }
        assert not up, f'{path.relative_to(ROOT)} imports {up}, not below it'


@pytest.mark.parametrize('package', PACKAGES)
def test_a_package_is_small_and_says_what_it_is_for(package):
    assert len(list((ROOT / package).glob('*.py'))) <= 12
    tree = ast.parse((ROOT / package / '__init__.py').read_text())
    said = ast.get_docstring(tree)
    assert said and len(said.splitlines()) <= 5
    assert package == 'published' or not any(isinstance(x, ast.FunctionDef) for x in tree.body)
    if package not in ('published', 'commands'):
        module = importlib.import_module(f'mpq_jax.{package}')
        assert module.__all__ and all(hasattr(module, name) for name in module.__all__)


def test_few_files_stand_beside_the_packages():
    assert len([path for path in ROOT.iterdir() if path.is_file()]) <= 3


def test_no_file_is_long():
    for path in [*ROOT.rglob('*.py'), *Path(__file__).parent.rglob('*.py')]:
        assert len(path.read_text().splitlines()) <= 250, path
