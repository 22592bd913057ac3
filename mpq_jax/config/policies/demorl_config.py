"""How a policy learns from a planner's transitions on a learned model: one field a line."""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_at_least, check_between
from mpq_jax.config.planners import BasePlannerConfig, static


@register_dataclass
@dataclasses.dataclass(frozen=True)
class DemorlConfig:
    """Of agents 'demorl', 'mopac' and 'mbpo'; plans are `planner`'s, of `planner.horizon` actions.

    Both schedules are linear in the control steps of the real system, from `schedule_from` to
    `schedule_until`, and constant before and after.
    """

    starts: int = static(1000)  # states of the buffer that a generation plans from
    generations: int = static(1)  # of model transitions in a round, its gradient steps shared out
    policy_rollouts: int = static(5)  # 'demorl_online': of the plans, how many are the policy's
    retained_rounds: int = static(4)  # whose model transitions are kept
    schedule_from: float = 0.0
    schedule_until: float = 1.0
    real_share_first: float = 0.05  # of a minibatch, from the real system
    real_share_last: float = 0.05
    length_first: float = 5.0  # control steps of a rollout that are kept, at most planner.horizon
    length_last: float = 5.0

    def validate(self, planner: BasePlannerConfig) -> None:
        """Raises ConfigError naming field, value and range."""
        for name in ('starts', 'generations', 'retained_rounds', 'policy_rollouts'):
            check_at_least(f'demorl.{name}', getattr(self, name), 1)
        check_between('demorl.schedule_from', self.schedule_from, 0.0, None)
        if not self.schedule_from < self.schedule_until:
            raise ConfigError(
                'demorl.schedule_until', self.schedule_until,
                f'more than demorl.schedule_from = {self.schedule_from}',
            )  # fmt: skip
        for name in ('real_share_first', 'real_share_last'):
            check_between(f'demorl.{name}', getattr(self, name), 0.0, 1.0)
        for name in ('length_first', 'length_last'):
            check_between(f'demorl.{name}', getattr(self, name), 1.0, planner.horizon)

    def capacity(self, horizon: int) -> int:
        """Model transitions that are kept."""
        return self.retained_rounds * self.generations * self.starts * horizon

    def at(self, steps, first, last):
        """A scheduled number after so many control steps; scalars or arrays."""
        span = self.schedule_until - self.schedule_from
        passed = ((steps - self.schedule_from) / span).clip(0.0, 1.0)
        return first + (last - first) * passed
