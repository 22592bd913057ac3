"""What a run takes, counted from its config before anything is built."""

import dataclasses

from mpq_jax.config import Batch, Config
from mpq_jax.config.run_length import most_steps, whole_episodes
from mpq_jax.learning.algorithms import algorithm_maker
from mpq_jax.tasks import Task


@dataclasses.dataclass(frozen=True)
class Workload:
    """A run in physics steps of the planner's models."""

    batch: Batch
    episode_steps: int
    steps_per_control: int

    @classmethod
    def of(cls, batch: Batch, task: Task, steps_per_control: int) -> 'Workload':
        return cls(batch, task.episode_steps, steps_per_control)

    @property
    def config(self) -> Config:
        return self.batch.config

    @property
    def per_action(self) -> int:
        """In one control step of one member."""
        if not (self.config.plans and algorithm_maker(self.config).acts_by_plans):
            return 0
        planner = self.config.planner
        plans = planner.num_samples * planner.iterations
        return plans * self._particles * (planner.horizon - 1) * self.steps_per_control

    @property
    def per_round(self) -> int:
        """In one learning round of one member."""
        steps = algorithm_maker(self.config).round_steps(self.config)
        return steps * self._particles * self.steps_per_control

    @property
    def _particles(self) -> int:
        """On which a plan is rolled out."""
        return max(1, self.config.dynamics.particles) if self.config.learns_dynamics else 1

    @property
    def total(self) -> int:
        """About how many the whole run takes, of all its members."""
        members, config = len(self.batch.members), self.config
        steps = most_steps(config, self.episode_steps)
        if not config.learns:
            return members * steps * self.per_action
        settings = config.training
        episodes = whole_episodes(config, self.episode_steps)
        validations = episodes // config.validation_interval * settings.validation_episodes
        acting = (steps + validations * self.episode_steps) * self.per_action
        rounds = episodes // config.learner.episodes_per_round
        return members * (acting + rounds * self.per_round)

    @property
    def programs(self) -> list[str]:
        """What a run of this config compiles."""
        if not self.config.learns:
            return ['init', 'play']
        validates = self.config.training.validation_episodes > 0
        collects = ['explore'] * self.config.learns_dynamics + ['collect']
        return ['init', *collects, 'learn'] + ['play', 'keep best'] * validates
