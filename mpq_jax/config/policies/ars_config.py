"""How augmented random search learns: one field a line."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import check_at_least, check_between
from mpq_jax.config.planners import static


@register_dataclass
@dataclasses.dataclass(frozen=True)
class ARSConfig:
    """Mania, Guy and Recht (2018): a linear policy, moved along random directions."""

    directions: int = static(16)  # b, each tried on both sides: an iteration is 2 b episodes
    top_directions: int = static(16)  # of these, that count
    step_size: float = 0.02
    noise: float = 0.3  # of a direction, a standard deviation
    reward_clip: float = 0.0  # rewards count in plus and minus this; 0: as they are
    variance_floor: float = 1e-2  # of the observations that are normalised

    def validate(self) -> None:
        """Raises ConfigError naming field, value and range."""
        check_at_least('ars.directions', self.directions, 1)
        check_between('ars.top_directions', self.top_directions, 1, self.directions)
        for name in ('step_size', 'noise', 'variance_floor'):
            check_between(f'ars.{name}', getattr(self, name), 0.0, None, open_low=True)
        check_between('ars.reward_clip', self.reward_clip, 0.0, None)
