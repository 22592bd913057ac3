"""What plans, what the planner believes: frozen dataclasses, one field a line.

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
class BasePlannerConfig:
    """What every planner has: `horizon` actions, `horizon - 1` model steps, the terminal cost."""

    name: str = static('')  # registered, or module:factory of one's own
    horizon: int = static(8)  # H
    num_samples: int = static(24)  # N, shared by the model draws: sample n uses draw n mod D
    iterations: int = static(1)  # of sampling and updating, a control step
    discount: float = 0.9  # gamma
    # MPQ(lambda) (`planning.mixing`): how lambda goes over the training episodes; 'off': MPQ.
    td_schedule: str = static('off')
    td_lambda: float = 1.0  # throughout ('constant'), or in the first episode
    td_lambda_final: float = 1.0  # from `td_episodes` on, and where nothing is learned any more
    td_episodes: float = 20.0

    def validate(self) -> None:
        """Raises ConfigError naming field, value and range."""
        self._validate_mixing()
        for name in ('horizon', 'num_samples', 'iterations'):
            check_at_least(f'planner.{name}', getattr(self, name), 1)
        check_between('planner.discount', self.discount, 0.0, 1.0)

    def _validate_mixing(self) -> None:
        schedules = ('off', 'constant', 'linear', 'exponential')
        check_choice('planner.td_schedule', self.td_schedule, schedules)
        exponential = self.td_schedule == 'exponential'
        for name in ('td_lambda', 'td_lambda_final'):
            value = getattr(self, name)
            check_between(f'planner.{name}', value, 0.0, 1.0, open_low=exponential)
            idle = self.td_schedule == 'off' or (self.td_schedule, name) == (
                'constant', 'td_lambda_final',
            )  # fmt: skip
            if idle and value != 1.0:
                raise ConfigError(
                    f'planner.{name}', value, f"1 while planner.td_schedule is '{self.td_schedule}'"
                )
        check_between('planner.td_episodes', self.td_episodes, 0.0, None, open_low=True)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class PlannerConfig(BasePlannerConfig):
    """MPPI's."""

    name: str = static('mppi')
    pooling: str = static('pooled')  # free energy over all samples, or its mean 'per_draw'
    temperature: float = 0.15  # lambda
    noise_variance: float = 4.0  # Sigma, a variance, in units of the normalised action
    step_size: float = 0.5  # alpha
    control_discount: float = 1.0  # of the control (KL) term, a step; 1: as in Eq. 23

    def validate(self) -> None:
        super().validate()
        check_choice('planner.pooling', self.pooling, ('pooled', 'per_draw'))
        check_between('planner.temperature', self.temperature, 0.0, None, open_low=True)
        check_between('planner.noise_variance', self.noise_variance, 0.0, None, open_low=True)
        check_between('planner.step_size', self.step_size, 0.0, 1.0, open_low=True)
        check_between('planner.control_discount', self.control_discount, 0.0, 1.0)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class BeliefConfig:
    """What the planner believes of the system: a distribution of models, and draws from it."""

    num_draws: int = static(12)  # D
    redraw: str = static('run')  # hold the draws for a 'run' or an 'episode' (from a bank)
    bank_size: int = static(64)  # models in the bank when redraw='episode'
    bias: float = 1.0  # centre of the distribution: 0 the truth, 1 the task's
    spread: float = 1.0  # its width, in the task's; 0: all draws equal

    def validate(self) -> None:
        for name in ('num_draws', 'bank_size'):
            check_at_least(f'belief.{name}', getattr(self, name), 1)
        check_choice('belief.redraw', self.redraw, ('run', 'episode'))
        if self.redraw == 'episode' and self.bank_size < self.num_draws:
            raise ConfigError(
                'belief.bank_size', self.bank_size, f'at least belief.num_draws = {self.num_draws}'
            )
        check_between('belief.bias', self.bias, 0.0, None)
        check_between('belief.spread', self.spread, 0.0, None)


PREDICTIVE_SAMPLING = PlannerConfig(name='predictive_sampling', step_size=1.0)
RANDOM_SHOOTING = PlannerConfig(name='random_shooting', step_size=1.0)


def check_draws(planner: BasePlannerConfig, belief: BeliefConfig) -> None:
    """Raises ConfigError where samples and model draws do not go together."""
    if belief.num_draws > planner.num_samples:
        raise ConfigError(
            'belief.num_draws',
            belief.num_draws,
            f'at most planner.num_samples = {planner.num_samples} (every draw needs a sample)',
        )
    per_draw = getattr(planner, 'pooling', 'pooled') == 'per_draw'
    if per_draw and planner.num_samples % belief.num_draws:
        raise ConfigError(
            'planner.num_samples',
            planner.num_samples,
            f'a multiple of belief.num_draws = {belief.num_draws} when planner.pooling is '
            "'per_draw'",
        )
