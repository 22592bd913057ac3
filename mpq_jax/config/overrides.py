"""Config fields by their dotted names: setting them from text, JSON in and out."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from typing import Any

from mpq_jax.base.validation import ConfigError, nearest
from mpq_jax.config.algorithm_config import LearnerConfig, PlannerConfig
from mpq_jax.config.run_config import Config

_EXPECTED = {
    int: 'a whole number',
    float: 'a number',
    bool: 'true or false',
    str: 'a word',
    tuple: 'a list of objects {numeric field: number}, with the same fields in each',
}


def field_types(config: Any = None, prefix: str = '') -> dict[str, type]:
    """Dotted name -> type of every field that can be set."""
    config = Config() if config is None else config
    types: dict[str, type] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            types |= field_types(value, f'{prefix}{field.name}.')
        else:
            types[prefix + field.name] = type(value)
    return types


def _numeric(prefix: str, config) -> tuple[str, ...]:
    fields = dataclasses.fields(config)
    return tuple(f'{prefix}.{f.name}' for f in fields if not f.metadata.get('static'))


_TYPES = field_types()

# The fields whose values share one compiled program: they may differ between batch members.
NUMERIC_FIELDS = _numeric('planner', PlannerConfig) + _numeric('learner', LearnerConfig)


def get_field(config: Config, name: str):
    """The value of a dotted field."""
    value: Any = config
    for part in name.split('.'):
        value = getattr(value, part)
    return value


def set_fields(config: Config, values: Mapping[str, Any]) -> Config:
    """A config with dotted fields replaced.

    Args:
      config: where to start.
      values: dotted name -> value, of the field's type (a whole number does for a float).

    Raises:
      ConfigError: an unknown field (with the nearest one named), or a value of another type.
    """
    for name, value in values.items():
        config = _replace(config, name.split('.'), _typed(name, value))
    return config


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """['planner.temperature=0.3', ...] -> {'planner.temperature': 0.3, ...}, typed.

    Raises:
      ConfigError: not of the form field=value, an unknown field, or an ill-typed value.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition('=')
        if not equals:
            raise ConfigError('--set', text, 'of the form field=value')
        values[name.strip()] = parse_value(name.strip(), value.strip())
    return values


def parse_value(name: str, text: str):
    """The text as a value of the named field's type."""
    kind = _type_of(name)
    words = {'true': True, 'false': False}
    try:
        if kind is tuple:
            return _variants(json.loads(text))
        return words[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ConfigError(name, text, _EXPECTED[kind]) from None


def to_dict(config: Config) -> dict[str, Any]:
    return dataclasses.asdict(config)


def from_dict(nested: Mapping[str, Any]) -> Config:
    """The inverse of `to_dict`. Raises ConfigError for unknown or ill-typed fields."""
    return set_fields(Config(), dict(_flatten(nested)))


def to_json(config: Config) -> str:
    return json.dumps(to_dict(config), indent=2) + '\n'


def differences(left: Config, right: Config) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (left, right) for every field in which two configs differ."""
    pairs = {name: (get_field(left, name), get_field(right, name)) for name in _TYPES}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _flatten(nested: Mapping[str, Any], prefix: str = ''):
    if not isinstance(nested, Mapping):
        raise ConfigError(prefix.rstrip('.') or 'config', nested, 'an object of fields')
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def _type_of(name: str) -> type:
    if name not in _TYPES:
        raise ConfigError('field', name, f'a field of the config{nearest(name, _TYPES)}')
    return _TYPES[name]


def _typed(name: str, value):
    kind = _type_of(name)
    if kind is tuple:
        return _variants(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ConfigError(name, value, _EXPECTED[kind])
    return value


def _variants(value) -> tuple[dict[str, float], ...]:
    items = list(value) if isinstance(value, list | tuple) else [value]
    for item in items:
        if not isinstance(item, Mapping) or set(item) != set(items[0]):
            raise ConfigError('variants', value, _EXPECTED[tuple])
        for name in item:
            if name not in NUMERIC_FIELDS:
                raise ConfigError('variants', name, f'of {", ".join(NUMERIC_FIELDS)}')
    return tuple({name: _typed(name, x) for name, x in item.items()} for item in items)


def _replace(config, parts: list[str], value):
    head, *rest = parts
    if rest:
        value = _replace(getattr(config, head), rest, value)
    return dataclasses.replace(config, **{head: value})
