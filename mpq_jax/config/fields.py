"""Config fields by their dotted names: what there is, of which type, and setting them.

A config's own planner says which fields `planner.` has.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from mpq_jax.base.validation import ConfigError, nearest
from mpq_jax.config.planners import BasePlannerConfig, planner_config
from mpq_jax.config.run_config import Config
from mpq_jax.config.versions import GONE, RENAMED

PLANNER = 'planner.name'  # which decides what other fields there are
# Whose numbers may differ between members.
_SHARED_PROGRAM = ('planner', 'belief', 'learner', 'dynamics', 'sac', 'ars', 'distil', 'demorl')
_EXPECTED = {
    int: 'a whole number',
    float: 'a number',
    bool: 'true or false',
    str: 'a word',
}


def field_types(config: Any = None, prefix: str = '') -> dict[str, type]:
    """Dotted name -> type of every field of a config that can be set."""
    config = Config() if config is None else config
    types: dict[str, type] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            types |= field_types(value, f'{prefix}{field.name}.')
        else:
            types[prefix + field.name] = type(value)
    return types


def numeric_fields(config: Config | None = None) -> tuple[str, ...]:
    """The fields whose values share one compiled program: they may differ between members."""
    config = Config() if config is None else config
    return tuple(
        f'{part}.{field.name}'
        for part in _SHARED_PROGRAM
        for field in dataclasses.fields(getattr(config, part))
        if not field.metadata.get('static')
    )


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
        'planner.name' is set before the others: the new planner keeps the values of fields that
        the old one has by the same name, unless it has a value of its own that is not its class's.

    Raises:
      ConfigError: an unknown field (with the nearest one named), or a value of another type.
    """
    for name in sorted(values, key=lambda name: name != PLANNER):
        value = typed(config, name, values[name])
        if name == PLANNER:
            config = dataclasses.replace(config, planner=_planner(config.planner, value))
        else:
            config = _replace(config, name.split('.'), value)
    return config


def with_planners(names: Iterable[str]) -> list[Config]:
    """A config for each planner: together they have every field that can be set."""
    return [set_fields(Config(), {PLANNER: name}) for name in names] or [Config()]


def parse_overrides(texts: Iterable[str], configs: Iterable[Config] = ()) -> dict[str, Any]:
    """['planner.temperature=0.3', ...] -> {'planner.temperature': 0.3, ...}, typed.

    Args:
      texts: of the form field=value.
      configs: which have the fields; one of the default planner if empty.

    Raises:
      ConfigError: not of the form field=value, an unknown field, or an ill-typed value.
    """
    values = {}
    for text in texts:
        name, equals, value = text.partition('=')
        if not equals:
            raise ConfigError('--set', text, 'of the form field=value')
        values[name.strip()] = parse_value(name.strip(), value.strip(), configs)
    return values


def parse_value(name: str, text: str, configs: Iterable[Config] = ()):
    """The text as a value of the named field's type in the first of the configs that has it."""
    configs = list(configs) or [Config()]
    config = next((c for c in configs if name in field_types(c)), configs[0])
    kind = type_of(config, name)
    words = {'true': True, 'false': False}
    try:
        return words[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ConfigError(name, text, _EXPECTED[kind]) from None


def type_of(config: Config, name: str) -> type:
    """Of a field. Raises ConfigError, with the nearest name, where there is none."""
    types = field_types(config)
    if name not in types:
        raise ConfigError('field', name, f'a field of the config{hint(name, types)}')
    return types[name]


def hint(name: str, known: Iterable[str]) -> str:
    """What an unknown field is called now, or the nearest one that is known."""
    if name in GONE:
        return f': {GONE[name]}'
    return f': it is {RENAMED[name]!r} now' if name in RENAMED else nearest(name, known)


def typed(config: Config, name: str, value):
    """The value as the field has it. Raises ConfigError."""
    kind = type_of(config, name)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not kind:
        raise ConfigError(name, value, _EXPECTED[kind])
    return value


def _planner(before: BasePlannerConfig, name: str) -> BasePlannerConfig:
    if name == before.name:
        return before
    fresh = planner_config(name)
    kept: dict[str, Any] = {}
    for field in dataclasses.fields(fresh):
        mine, had = getattr(fresh, field.name), getattr(before, field.name, None)
        brought = field.name == 'name' or mine != field.default  # what makes it the planner it is
        if not brought and type(had) is type(mine):
            kept[field.name] = had
    return dataclasses.replace(fresh, **kept)


def _replace(config, parts: list[str], value):
    head, *rest = parts
    if rest:
        value = _replace(getattr(config, head), rest, value)
    return dataclasses.replace(config, **{head: value})
