"""Robots that others modelled, from their MJCF to a plan: see results/robots/README.md."""

import importlib.util
from pathlib import Path


def file_of(package: str, place: str) -> str:
    """The path of a file in an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f'{place} is in the package {package}: pip install {package}')
    return str(Path(found.submodule_search_locations[0]) / place)
