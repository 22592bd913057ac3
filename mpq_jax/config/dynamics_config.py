"""How dynamics are learned, and how plans are rolled out on them: one field a line.

`pets` sizes are those of Chua et al. (2018); the defaults are ours, and cheaper (BUILD_NOTES.md).
"""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice
from mpq_jax.config.planners import BasePlannerConfig, static

LEARNED_MODELS = ('learned', 'residual')
PROPAGATIONS = ('ts_inf', 'ts1', 'mean')


@register_dataclass
@dataclasses.dataclass(frozen=True)
class DynamicsConfig:
    """Of an ensemble of probabilistic networks, for planner_model 'learned' or 'residual'."""

    random_episodes: int = static(1)  # a member's first, whose actions are uniform in the box
    # The ensemble.
    members: int = static(5)  # E
    elites: int = static(0)  # the best of them on held-out data, which plan; 0: all
    hidden_width: int = static(200)
    hidden_layers: int = static(3)
    learned_bounds: bool = static(True)  # of the log-variance; or as they are below
    min_log_variance: float = static(-10.0)  # where they begin
    max_log_variance: float = static(0.5)
    scaled_targets: bool = static(True)  # changes in their standard deviations, or as they are
    # How it is fitted, after every `learner.episodes_per_round` episodes.
    epochs: int = static(50)  # at most, a round
    batch_size: int = static(32)
    bootstrap: bool = static(True)  # each member draws its data with replacement
    holdout: float = 0.1  # share of the data that no member sees; 0: none
    patience: int = static(5)  # epochs without an improvement before a member stops; 0: never
    improvement: float = 0.01  # of the held-out error, relative, that counts as one
    warm_start: bool = static(True)  # from the last round's networks, or from fresh ones
    learning_rate: float = 1e-3  # Adam
    weight_decay_first: float = 1e-4  # of the first layer, c in c |W|^2 / 2
    weight_decay: float = 2.5e-4  # of those between
    weight_decay_last: float = 5e-4
    bounds_weight: float = 0.01  # of the sum of the bounds' widths in the loss
    # How plans are rolled out: a particle keeps its network ('ts_inf'), gets another each step
    # ('ts1'); or the networks' mean is followed, without noise ('mean').
    propagation: str = static('ts_inf')
    particles: int = static(5)  # P, over which a plan's cost is averaged; 0: one network a plan
    sample_noise: bool = static(True)  # draw from the predicted variance, or follow the mean

    @property
    def num_elites(self) -> int:
        return self.elites or self.members

    def validate(self) -> None:
        """Raises ConfigError naming field, value and range."""
        counts = (
            'random_episodes', 'members', 'hidden_width', 'hidden_layers', 'epochs', 'batch_size',
        )  # fmt: skip
        for name in counts:
            check_at_least(f'dynamics.{name}', getattr(self, name), 1)
        check_between('dynamics.elites', self.elites, 0, self.members)
        check_at_least('dynamics.patience', self.patience, 0)
        check_between('dynamics.holdout', self.holdout, 0.0, 0.9)
        check_between('dynamics.improvement', self.improvement, 0.0, 1.0)
        check_between('dynamics.learning_rate', self.learning_rate, 0.0, None, open_low=True)
        for name in ('weight_decay_first', 'weight_decay', 'weight_decay_last', 'bounds_weight'):
            check_between(f'dynamics.{name}', getattr(self, name), 0.0, None)
        low, high = self.min_log_variance, self.max_log_variance
        if not low < high:
            raise ConfigError(
                'dynamics.min_log_variance', low, f'below dynamics.max_log_variance = {high}'
            )
        check_choice('dynamics.propagation', self.propagation, PROPAGATIONS)
        self._validate_particles()

    def _validate_particles(self) -> None:
        field, count, elites = 'dynamics.particles', self.particles, self.num_elites
        check_at_least(field, count, 0)
        if self.propagation == 'mean':
            if count != 1:
                raise ConfigError(field, count, "1 when dynamics.propagation is 'mean'")
        elif count % elites:
            raise ConfigError(
                field, count,
                f'0, or a multiple of the {elites} networks that plan (dynamics.elites, or '
                'dynamics.members)',
            )  # fmt: skip
        elif not count and self.propagation == 'ts1':
            raise ConfigError(field, count, "1 or more when dynamics.propagation is 'ts1'")


def check_particles(planner: BasePlannerConfig, dynamics: DynamicsConfig) -> None:
    """Raises ConfigError where samples do not divide over networks, one network a sample."""
    if dynamics.particles == 0 and planner.num_samples % dynamics.num_elites:
        raise ConfigError(
            'planner.num_samples',
            planner.num_samples,
            f'a multiple of the {dynamics.num_elites} networks that plan, when dynamics.particles '
            'is 0',
        )
    if dynamics.particles and getattr(planner, 'pooling', 'pooled') == 'per_draw':
        raise ConfigError(
            'planner.pooling', 'per_draw',
            "'pooled' when dynamics.particles is not 0: each plan has the cost of all networks",
        )  # fmt: skip
