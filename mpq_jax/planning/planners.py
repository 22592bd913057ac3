"""Planners by name; `load_planner('module:factory')` takes one of your own."""

from mpq_jax.base.trust import name_code
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import Config
from mpq_jax.config.planners import own_planner
from mpq_jax.planning.dmd import CROSS_ENTROPY, DMD
from mpq_jax.planning.mppi import MPPI
from mpq_jax.planning.planner import Planner
from mpq_jax.planning.shooting import PREDICTIVE, RANDOM

_BUILT_IN = {
    planner.config.name: planner for planner in (MPPI, DMD, CROSS_ENTROPY, PREDICTIVE, RANDOM)
}


def load_planner(name: str) -> Planner:
    """The planner of a registered name, or what `module:factory` returns.

    Files of runs may name it from then on: the user of this process has.

    Raises:
      ConfigError: no such planner, or no planner.
    """
    planner = own_planner(name) or _BUILT_IN[name]
    if ':' in name:
        name_code(name)  # again, where it was made before
    if not isinstance(planner, Planner):
        made = type(planner).__name__
        raise ConfigError('planner.name', name, f'a factory of a mpq_jax.Planner, not of a {made}')
    return planner


def load_planner_around(config: Config) -> Planner:
    """The planner of a config, which can sample around given controls.

    Raises:
      ConfigError: it cannot; or its plans are not their controls.
    """
    planner = load_planner(config.planner.name)
    if planner.around is None:
        raise ConfigError(
            'planner.name', config.planner.name,
            f'one that samples `around` given controls when agent is {config.agent!r}',
        )  # fmt: skip
    noise = getattr(config.planner, 'noise', 'white')
    if noise != 'white':
        raise ConfigError('planner.noise', noise, f"'white' when agent is {config.agent!r}")
    return planner
