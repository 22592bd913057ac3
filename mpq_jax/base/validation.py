"""Errors that users can cause: each names the field, the value and what is allowed."""

import difflib
import math
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that cannot be used."""

    def __init__(self, field: str, value, allowed: str):
        super().__init__(f'{field} = {value!r} is not allowed: it must be {allowed}')
        self.field, self.value, self.allowed = field, value, allowed


class TaskError(ValueError):
    """A task that cannot be found, built or simulated."""


class RunError(RuntimeError):
    """A run directory or checkpoint that cannot be used."""


class NothingLearnedError(RunError):
    """A run that went to its end, and is saved, with members that took or learned nothing."""


def nearest(name: str, names: Iterable[str]) -> str:
    """' (did you mean X?)' where a name is close, else an empty string."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f' (did you mean {close[0]!r}?)' if close else ''


def check_choice(field: str, value, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = nearest(str(value), choices)
        raise ConfigError(field, value, f'one of {", ".join(choices)}{hint}')


def check_at_least(field: str, value: int, low: int) -> None:
    if value < low:
        raise ConfigError(field, value, f'at least {low}')


def check_between(field: str, value: float, low: float, high: float | None, open_low=False) -> None:
    """`low <= value <= high`, or `low < value` with `open_low`; no bound where high is None."""
    above = value > low if open_low else value >= low
    below = high is None or value <= high
    if not (above and below and math.isfinite(value)):
        lower = f'above {low}' if open_low else f'at least {low}'
        raise ConfigError(field, value, lower + ('' if high is None else f' and at most {high}'))
