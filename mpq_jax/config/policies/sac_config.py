"""How soft actor-critic learns: one field a line."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import check_at_least, check_between
from mpq_jax.config.planners import static


@register_dataclass
@dataclasses.dataclass(frozen=True)
class SACConfig:
    """Haarnoja et al. (2018), two Qs, automatic temperature; rewards are minus costs."""

    random_steps: float = 100.0  # control steps of uniform actions before the policy acts
    updates_per_step: float = 1.0  # gradient steps, for each control step since the last round
    batch_size: int = static(256)
    hidden_width: int = static(256)
    hidden_layers: int = static(2)
    discount: float = 0.99
    polyak: float = 0.005  # target networks: share of the new parameters a gradient step
    learning_rate: float = 3e-4  # Adam: policy, Qs, temperature
    target_entropy_scale: float = 1.0  # target entropy, in -nu
    initial_temperature: float = 1.0
    reward_scale: float = 1.0

    def validate(self) -> None:
        """Raises ConfigError naming field, value and range."""
        for name in ('batch_size', 'hidden_width', 'hidden_layers'):
            check_at_least(f'sac.{name}', getattr(self, name), 1)
        for name in ('random_steps', 'target_entropy_scale'):
            check_between(f'sac.{name}', getattr(self, name), 0.0, None)
        for name in ('updates_per_step', 'learning_rate', 'initial_temperature', 'reward_scale'):
            check_between(f'sac.{name}', getattr(self, name), 0.0, None, open_low=True)
        check_between('sac.discount', self.discount, 0.0, 1.0)
        check_between('sac.polyak', self.polyak, 0.0, 1.0, open_low=True)
