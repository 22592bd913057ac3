"""Planner configs by name; `module:factory` takes a planner of one's own.

A factory makes a `planning.Planner`, which stands above this: here it is what has a `config`.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

from mpq_jax.base.trust import import_factory
from mpq_jax.base.validation import ConfigError, nearest
from mpq_jax.config.planners.dmd_config import CEM, DMDConfig
from mpq_jax.config.planners.mppi_config import (
    PREDICTIVE_SAMPLING,
    RANDOM_SHOOTING,
    BasePlannerConfig,
    PlannerConfig,
)

_BUILT_IN: dict[str, BasePlannerConfig] = {
    config.name: config
    for config in (PlannerConfig(), DMDConfig(), CEM, PREDICTIVE_SAMPLING, RANDOM_SHOOTING)
}
_FACTORIES: dict[str, Callable[[], Any]] = {}
_made: dict[str, Any] = {}  # by name; made once in a process


def register_planner(name: str, factory: Callable[[], Any]) -> None:
    """Makes the planner of `factory()` known under a name, for this process."""
    _FACTORIES[name] = factory
    _made.pop(name, None)


def planner_names() -> tuple[str, ...]:
    return (*_BUILT_IN, *_FACTORIES)


def own_planner(name: str) -> Any:
    """What the factory of a planner of one's own makes; None for a built-in one.

    Raises:
      ConfigError: no such planner, or one without a usable config.
    """
    if name in _BUILT_IN:
        return None
    if name not in _made:
        _made[name] = _checked(name, _factory(name)())
    return _made[name]


def planner_config(name: str) -> BasePlannerConfig:
    """The config that a planner starts from. Raises ConfigError where there is none."""
    made = own_planner(name)
    config = _BUILT_IN[name] if made is None else made.config
    return dataclasses.replace(config, name=name)


def _factory(name: str) -> Callable[[], Any]:
    if ':' not in name:
        if name not in _FACTORIES:
            names = planner_names()
            raise ConfigError(
                'planner.name', name,
                f'one of {", ".join(names)}, or module:factory of your own{nearest(name, names)}',
            )  # fmt: skip
        return _FACTORIES[name]
    try:
        return import_factory(name)
    except ValueError as error:
        raise ConfigError('planner.name', name, f'module:factory of your own: {error}') from error


def _checked(name: str, made: Any) -> Any:
    config = getattr(made, 'config', None)
    if not isinstance(config, BasePlannerConfig):
        raise ConfigError(
            'planner.name', name,
            'a factory of a mpq_jax.Planner whose config is a BasePlannerConfig of your own, '
            f'not {type(config).__name__}',
        )  # fmt: skip
    kinds = {type(getattr(config, field.name)) for field in dataclasses.fields(config)}
    if not kinds <= {int, float, bool, str}:
        raise ConfigError('planner.name', name, 'a planner whose config has only numbers and words')
    return made
