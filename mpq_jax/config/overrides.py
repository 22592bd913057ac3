"""Configs as JSON, and what two of them differ in."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from mpq_jax.base.validation import ConfigError
from mpq_jax.config.fields import field_types, get_field, set_fields
from mpq_jax.config.run_config import Config
from mpq_jax.config.versions import VERSION, migrated


def to_dict(config: Config) -> dict[str, Any]:
    return {'version': VERSION, **dataclasses.asdict(config)}


def from_dict(nested: Mapping[str, Any], planners: Sequence[str] | None = None) -> Config:
    """The inverse of `to_dict`; of a config of an older version, what it meant.

    Args:
      nested: as in a file.
      planners: the names of those it may have, the default one beside them; any if None.

    Raises:
      ConfigError: unknown or ill-typed fields, or a newer version.
    """
    planner = planner_name(nested)
    if planners is not None and planner not in ('', *planners):
        raise ConfigError('planner.name', planner, f'one of {", ".join(planners)}')
    return set_fields(Config(), migrated(dict(_flatten(nested))))


def planner_name(nested: Mapping[str, Any]) -> str:
    """Of a config as `to_dict` has it, before it is read."""
    planner = nested.get('planner')
    return str(planner.get('name', '')) if isinstance(planner, Mapping) else ''


def differences(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (left, right) for every field in which two configs differ; None: has none."""
    names = {**field_types(left), **field_types(right)}
    pairs = {name: (_value(left, name), _value(right, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _value(config: Config, name: str):
    try:
        return get_field(config, name)
    except AttributeError:
        return None


def _flatten(nested: Mapping[str, Any], prefix: str = ''):
    if not isinstance(nested, Mapping):
        raise ConfigError(prefix.rstrip('.') or 'config', nested, 'an object of fields')
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value
