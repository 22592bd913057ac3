"""Runs beside each other, as one: a config's seeds, each with values of numeric fields."""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import overrides
from mpq_jax.config.fields import numeric_fields, set_fields, typed
from mpq_jax.config.run_config import Config
from mpq_jax.config.versions import renamed

_EXPECTED = 'a list of objects {numeric field: number}, with the same fields in each'


@dataclasses.dataclass(frozen=True)
class Batch:
    """What one set of compiled programs runs: every variant of a config, with every seed.

    Attributes:
      config: what is the same for all; its seeds.
      variants: values of numeric fields, such as ({'planner.temperature': 0.1},
        {'planner.temperature': 0.3}), with the same fields in each; none: the config as it is.
    """

    config: Config
    variants: tuple[dict[str, float], ...] = ()

    @classmethod
    def of(cls, runs: 'Config | Batch') -> 'Batch':
        """A config's seeds alone are a batch too."""
        return cls(runs) if isinstance(runs, Config) else runs

    @classmethod
    def from_dict(cls, nested: Mapping[str, Any], planners: Sequence[str] | None = None) -> 'Batch':
        """The inverse of `to_dict`; see `overrides.from_dict`. Raises ConfigError."""
        config = {name: value for name, value in nested.items() if name != 'variants'}
        variants = nested.get('variants', ())
        if nested.get('version', 1) == 1 and isinstance(variants, list | tuple):
            variants = [renamed(v) if isinstance(v, Mapping) else v for v in variants]
        return cls(overrides.from_dict(config, planners), variants).with_types()

    def to_dict(self) -> dict[str, Any]:
        """The config's fields, and the variants where there are any."""
        own = {'variants': [dict(variant) for variant in self.variants]} if self.variants else {}
        return overrides.to_dict(self.config) | own

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2) + '\n'

    @property
    def members(self) -> tuple[tuple[int, int], ...]:
        """(variant, seed) of every member `[B]`, seeds fastest."""
        count, seeds = max(1, len(self.variants)), self.config.seeds
        return tuple((v, seed) for v in range(count) for seed in seeds)

    def configs(self) -> list[Config]:
        """The config of each member `[B]`: one variant, one seed. Raises ConfigError."""
        single = dataclasses.replace(self.config, num_seeds=1)
        of_variants = [set_fields(single, own).validate() for own in self.variants or ({},)]
        return [dataclasses.replace(of_variants[v], seed=seed) for v, seed in self.members]

    def with_types(self) -> 'Batch':
        """Values as their fields have them. Raises ConfigError for what is none of theirs."""
        if not isinstance(self.variants, list | tuple):
            raise ConfigError('variants', self.variants, _EXPECTED)
        numeric = numeric_fields(self.config)
        for own in self.variants:
            if not isinstance(own, Mapping) or set(own) != set(self.variants[0]):
                raise ConfigError('variants', self.variants, _EXPECTED)
            for name in own:
                if name not in numeric:
                    raise ConfigError('variants', name, f'of {", ".join(numeric)}')
        variants = (
            {name: typed(self.config, name, x) for name, x in own.items()} for own in self.variants
        )
        return dataclasses.replace(self, variants=tuple(variants))

    def validate(self) -> 'Batch':
        """The batch itself, typed. Raises ConfigError naming field, value and range."""
        self.config.validate()
        batch = self.with_types()
        batch.configs()
        return batch
