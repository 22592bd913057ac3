"""What the entries of an observation are called."""

from collections.abc import Mapping, Sequence


def names_of(parts: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """{'ball': 'xz', 'distance': ''} -> ('ball_x', 'ball_z', 'distance')."""
    return tuple(
        f'{name}_{entry}' if entry else name
        for name, entries in parts.items()
        for entry in entries or ('',)
    )
