"""What planner and learner are made of: frozen dataclasses, one field a line.

Sizes and choices are static (they shape the compiled program); the numbers that the mathematics
uses are pytree leaves, so seeds and values of them share one program.
"""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice


def static(default):
    """A field that is part of the program: changing it means another compilation."""
    return dataclasses.field(default=default, metadata={'static': True})


@register_dataclass
@dataclasses.dataclass(frozen=True)
class PlannerConfig:
    """MPPI: `horizon` actions, `horizon - 1` model steps, then the terminal cost."""

    horizon: int = static(8)  # H
    num_samples: int = static(24)  # N, shared by the model draws: sample n uses draw n mod D
    iterations: int = static(1)  # MPPI iterations a control step
    num_model_draws: int = static(12)  # D
    sample_chunk: int = static(0)  # samples rolled out at once; 0: what suits the device
    redraw: str = static('run')  # hold the draws for a 'run' or an 'episode' (from a bank)
    bank_size: int = static(64)  # models in the bank when redraw='episode'
    pooling: str = static('pooled')  # free energy over all samples, or its mean 'per_draw'
    temperature: float = 0.15  # lambda
    noise_variance: float = 4.0  # Sigma, a variance, in units of the normalised action
    step_size: float = 0.5  # alpha
    discount: float = 0.9  # gamma
    control_discount: float = 1.0  # of the control (KL) term, a step; 1: as in Eq. 23
    model_bias: float = 1.0  # centre of the planner's belief: 0 the truth, 1 the task's
    model_spread: float = 1.0  # its width, in the task's; 0: all draws equal

    def validate(self, agent: str = 'mpq') -> None:
        for name in ('horizon', 'num_samples', 'iterations', 'num_model_draws', 'bank_size'):
            check_at_least(f'planner.{name}', getattr(self, name), 1)
        if self.num_model_draws > self.num_samples:
            raise ConfigError(
                'planner.num_model_draws',
                self.num_model_draws,
                f'at most planner.num_samples = {self.num_samples} (every draw needs a sample)',
            )
        check_at_least('planner.sample_chunk', self.sample_chunk, 0)
        check_choice('planner.redraw', self.redraw, ('run', 'episode'))
        check_choice('planner.pooling', self.pooling, ('pooled', 'per_draw'))
        if self.redraw == 'episode' and self.bank_size < self.num_model_draws:
            raise ConfigError(
                'planner.bank_size',
                self.bank_size,
                f'at least planner.num_model_draws = {self.num_model_draws}',
            )
        if self.pooling == 'per_draw' and self.num_samples % self.num_model_draws:
            raise ConfigError(
                'planner.num_samples',
                self.num_samples,
                f'a multiple of planner.num_model_draws = {self.num_model_draws} '
                "when planner.pooling is 'per_draw'",
            )
        check_between('planner.temperature', self.temperature, 0.0, None, open_low=True)
        check_between('planner.noise_variance', self.noise_variance, 0.0, None, open_low=True)
        check_between('planner.step_size', self.step_size, 0.0, 1.0, open_low=True)
        check_between('planner.discount', self.discount, 0.0, 1.0)
        check_between('planner.control_discount', self.control_discount, 0.0, 1.0)
        check_between('planner.model_bias', self.model_bias, 0.0, None)
        check_between('planner.model_spread', self.model_spread, 0.0, None)
        if agent == 'softq' and self.horizon != 1:
            raise ConfigError('planner.horizon', self.horizon, "1 when agent is 'softq'")


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
    target_chunk: int = static(0)  # states whose targets are made at once; 0: as many as fit
    buffer_capacity: int = static(20_000)  # transitions a seed
    hidden_width: int = static(100)
    hidden_layers: int = static(2)
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
        check_at_least('learner.target_chunk', self.target_chunk, 0)
        if self.mode == 'fitted' and self.num_states < self.minibatch_size:
            raise ConfigError(
                'learner.num_states',
                self.num_states,
                f'at least learner.minibatch_size = {self.minibatch_size}',
            )
        check_between('learner.learning_rate', self.learning_rate, 0.0, None, open_low=True)
        check_between('learner.polyak', self.polyak, 0.0, 1.0, open_low=True)
