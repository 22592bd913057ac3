"""The fields of dynamic mirror descent MPC, and of the cross-entropy method, which is one of it."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_between, check_choice
from mpq_jax.config.planners.mppi_config import PlannerConfig, static

LOSSES = ('exponential_utility', 'low_cost', 'expected_cost')
COVARIANCES = ('fixed', 'diagonal', 'full', 'shared')
CONVENTIONS = ('exact', 'old_mean', 'new_mean')


@register_dataclass
@dataclasses.dataclass(frozen=True)
class DMDConfig(PlannerConfig):
    """A Gaussian over plans that a loss and two step sizes move; see `planning.dmd`.

    `temperature` is that of the exponential utility, and of Q's targets whatever the loss;
    `noise_variance` the covariance that a plan begins with, and that of the targets.
    """

    name: str = static('dmd')
    loss: str = static('exponential_utility')  # what of the costs the plans' distribution lowers
    covariance: str = static('diagonal')  # what moves beside the mean: a step's, or one of all
    convention: str = static('exact')  # about which mean the covariance is taken
    importance_sampling: bool = static(False)  # the control term, towards the prior
    elite_fraction: float = 0.1  # of the samples, that 'low_cost' keeps
    covariance_step_size: float = 0.5
    covariance_floor: float = 0.05  # in noise_variance
    covariance_growth: float = 0.0  # added at each shift, in noise_variance
    covariance_kept: float = 1.0  # share of it that a shift keeps; the rest is the prior's again
    # What Q's targets sample from: the prior's covariance, or the plan's, its eigenvalues above
    # `target_floor` in noise_variance (at a half or less exp(-S/lambda) may vary without bounds).
    target_proposal: str = static('prior')
    target_floor: float = 0.9

    def validate(self) -> None:
        # A mean step above 1 is allowed: Wagener et al. find that it helps.
        dataclasses.replace(self, step_size=min(self.step_size, 1.0))._validate_numbers()
        check_choice('planner.loss', self.loss, LOSSES)
        check_choice('planner.covariance', self.covariance, COVARIANCES)
        check_choice('planner.convention', self.convention, CONVENTIONS)
        check_between('planner.elite_fraction', self.elite_fraction, 0.0, 1.0, open_low=True)
        fewer_than_one = self.elite_fraction * self.num_samples < 1.0 - 1e-6
        if self.loss == 'low_cost' and fewer_than_one:
            raise ConfigError(
                'planner.elite_fraction', self.elite_fraction,
                f'at least 1 of planner.num_samples = {self.num_samples}',
            )  # fmt: skip
        check_between('planner.covariance_step_size', self.covariance_step_size, 0.0, 1.0)
        check_between('planner.covariance_floor', self.covariance_floor, 0.0, None, open_low=True)
        check_between('planner.covariance_growth', self.covariance_growth, 0.0, None)
        check_between('planner.covariance_kept', self.covariance_kept, 0.0, 1.0)
        self._validate_targets()

    def _validate_targets(self) -> None:
        check_choice('planner.target_proposal', self.target_proposal, ('prior', 'adapted'))
        check_between('planner.target_floor', self.target_floor, 0.5, None, open_low=True)
        if self.target_proposal == 'adapted':
            if self.covariance == 'fixed':
                raise ConfigError(
                    'planner.target_proposal', 'adapted',
                    "'prior' while planner.covariance is 'fixed'",
                )  # fmt: skip
            if self.noise != 'white' and self.target_noise == 'white':
                raise ConfigError(
                    'planner.target_noise', 'white',
                    f"'acting' with planner.target_proposal 'adapted' and planner.noise "
                    f"{self.noise!r} (a covariance is of the coordinates that are sampled), or "
                    "planner.noise 'white'",
                )  # fmt: skip
        if self.loss != 'exponential_utility' and self.temperature_rule != 'fixed':
            raise ConfigError(
                'planner.temperature_rule', self.temperature_rule,
                f"'fixed' while planner.loss is {self.loss!r}",
            )  # fmt: skip

    def _validate_numbers(self) -> None:
        super().validate()


CEM = DMDConfig(
    name='cem', loss='low_cost', step_size=1.0, covariance_step_size=1.0, covariance_floor=0.01
)
