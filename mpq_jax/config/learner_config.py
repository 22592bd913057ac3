"""How Q is learned: a frozen dataclass, one field a line."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice
from mpq_jax.config.planners import static


@register_dataclass
@dataclasses.dataclass(frozen=True)
class LearnerConfig:
    """How Q is fitted. The paper leaves nearly all of this open: the defaults are ours."""

    mode: str = static('fitted')  # 'fitted' Q iteration, or fresh targets 'per_minibatch'
    episodes_per_round: int = static(1)  # N_update
    num_states: int = static(1280)  # fitted: states whose targets are made in one batch
    epochs: int = static(20)  # fitted: passes over those states
    num_minibatches: int = static(100)  # per_minibatch: M
    minibatch_size: int = static(64)  # K
    target_iterations: int = static(0)  # MPPI iterations before V(s'); 0: one batch of the prior
    warm_start: bool = static(False)  # V(s') from the agent's plan at s', not from zero controls
    rounds_kept: int = static(1)  # fitted: the last rounds' targets are fitted again, this many
    target_network: bool = static(False)
    buffer_capacity: int = static(20_000)  # transitions a seed
    hidden_width: int = static(100)
    hidden_layers: int = static(2)
    q_scale: float = static(1.0)  # Q is this times the network's output: about a usual cost to go
    learning_rate: float = 1e-3  # Adam
    polyak: float = 0.005  # target network: share of the new parameters a gradient step

    def validate(self) -> None:
        check_choice('learner.mode', self.mode, ('fitted', 'per_minibatch'))
        for name in (
            'episodes_per_round',
            'num_states',
            'rounds_kept',
            'epochs',
            'num_minibatches',
            'minibatch_size',
            'buffer_capacity',
            'hidden_width',
            'hidden_layers',
        ):
            check_at_least(f'learner.{name}', getattr(self, name), 1)
        check_at_least('learner.target_iterations', self.target_iterations, 0)
        if self.mode == 'fitted' and self.num_states < self.minibatch_size:
            raise ConfigError(
                'learner.num_states',
                self.num_states,
                f'at least learner.minibatch_size = {self.minibatch_size}',
            )
        check_between('learner.q_scale', self.q_scale, 0.0, None, open_low=True)
        check_between('learner.learning_rate', self.learning_rate, 0.0, None, open_low=True)
        check_between('learner.polyak', self.polyak, 0.0, 1.0, open_low=True)
