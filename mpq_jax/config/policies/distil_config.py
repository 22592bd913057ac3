"""How a policy is fitted to a planner: one field a line."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import check_at_least, check_between, check_choice
from mpq_jax.config.planners import static


@register_dataclass
@dataclasses.dataclass(frozen=True)
class DistilConfig:
    """A tanh network, fitted to what the planner does where the policy leads (DAgger).

    The planner is that of the run `from_run`.
    """

    expert_parameters: str = static('last')  # its 'last', or its 'best' by validation
    from_buffer: bool = static(False)  # begin with what that run did, by the Q it had then
    expert_episodes: int = static(5)  # the first, in which the planner acts
    hidden_width: int = static(100)
    hidden_layers: int = static(2)  # 0: linear, but for the tanh of its outputs
    epochs: int = static(50)  # over all that was seen, a round
    batch_size: int = static(64)
    learning_rate: float = 1e-3  # Adam

    def validate(self) -> None:
        """Raises ConfigError naming field, value and range."""
        for name in ('hidden_width', 'epochs', 'batch_size'):
            check_at_least(f'distil.{name}', getattr(self, name), 1)
        for name in ('hidden_layers', 'expert_episodes'):
            check_at_least(f'distil.{name}', getattr(self, name), 0)
        check_choice('distil.expert_parameters', self.expert_parameters, ('last', 'best'))
        check_between('distil.learning_rate', self.learning_rate, 0.0, None, open_low=True)
