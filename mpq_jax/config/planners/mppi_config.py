"""What plans, what the planner believes: frozen dataclasses, one field a line.

Sizes and choices are static (they shape the compiled program); the numbers that the mathematics
uses are pytree leaves, so seeds and values of them share one program.
"""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice

NOISES = ('white', 'knots', 'coloured')
TAILS = ('zero', 'hold', 'prior')
SHOOTING = ('predictive_sampling', 'random_shooting')
TEMPERATURE_RULES = ('fixed', 'target_ess')


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
class NoiseConfig(BasePlannerConfig):
    """How plans are sampled by MPPI and the planners made like it; see `planning.noise`."""

    noise: str = static('white')  # over time
    knots: int = static(4)  # K of noise='knots'; H where that is less
    interpolation: str = static('linear')  # between knots; or 'cubic', a natural spline
    colour: float = 1.0  # beta of noise='coloured': power 1 / f^beta; 0 white, 1 pink, 2 brown
    tail: str = static('zero')  # the control that follows a plan's end at the shift
    target_noise: str = static('white')  # of Q's targets; 'acting': the same as acts
    # The temperature that weighs plans for acting: `temperature`, or the one at which the effective
    # sample size is target_ess, between two bounds in `temperature`. Q's targets keep theirs.
    temperature_rule: str = static('fixed')
    target_ess: float = 8.0  # of N
    temperature_low: float = 1e-3
    temperature_high: float = 1e3

    def validate(self) -> None:
        super().validate()
        check_choice('planner.noise', self.noise, NOISES)
        check_choice('planner.interpolation', self.interpolation, ('linear', 'cubic'))
        check_at_least('planner.knots', self.knots, 1)
        check_between('planner.colour', self.colour, 0.0, 4.0)
        check_choice('planner.tail', self.tail, TAILS)
        check_choice('planner.target_noise', self.target_noise, ('white', 'acting'))
        check_choice('planner.temperature_rule', self.temperature_rule, TEMPERATURE_RULES)
        if self.temperature_rule != 'fixed' and not 1.0 <= self.target_ess <= self.num_samples:
            raise ConfigError(
                'planner.target_ess', self.target_ess,
                f'at least 1 and at most planner.num_samples = {self.num_samples}',
            )  # fmt: skip
        check_between('planner.temperature_low', self.temperature_low, 0.0, 1.0, open_low=True)
        check_between('planner.temperature_high', self.temperature_high, 1.0, None)


@register_dataclass
@dataclasses.dataclass(frozen=True)
class PlannerConfig(NoiseConfig):
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
        if self.name in SHOOTING and self.temperature_rule != 'fixed':
            raise ConfigError(
                'planner.temperature_rule', self.temperature_rule,
                f"'fixed' with planner.name {self.name!r}, which weighs no plans",
            )  # fmt: skip


PREDICTIVE_SAMPLING, RANDOM_SHOOTING = (PlannerConfig(name=n, step_size=1.0) for n in SHOOTING)


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
