"""What a run is made of: frozen dataclasses, one field a line.

Sizes and choices are static (they shape the compiled program); the numbers that
the mathematics uses are pytree leaves, so seeds and values of them share one program.
"""

import dataclasses

from jax.tree_util import register_dataclass

from mpq_jax.validation import ConfigError, check_at_least, check_between, check_choice

# As tables and figures have them.
AGENT_NAMES = {'mpq': 'MPQ', 'mppi': 'MPPI', 'softq': 'SoftQ', 'none': 'no control'}


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


@dataclasses.dataclass(frozen=True)
class PhysicsConfig:
    """How one copy of the system is simulated; 0 and 'auto' mean: as the task says."""

    backend: str = 'auto'  # 'mjx'; 'mujoco': native, on all cores; 'equations': hand-written
    impl: str = 'jax'  # MJX implementation
    timestep: float = 0.0  # seconds a physics step
    solver_iterations: int = 0
    line_search_iterations: int = 0  # of each solver iteration

    def validate(self, where: str) -> None:
        check_choice(f'{where}.backend', self.backend, ('auto', 'mjx', 'mujoco', 'equations'))
        check_choice(f'{where}.impl', self.impl, ('jax',))
        check_between(f'{where}.timestep', self.timestep, 0.0, None)
        for name in ('solver_iterations', 'line_search_iterations'):
            check_at_least(f'{where}.{name}', getattr(self, name), 0)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The loop around the learner."""

    # Episodes between validations; 0: 10, and on a system that is not simulated so many that
    # validation is less than a tenth of the real interaction.
    validation_interval: int = 0
    validation_episodes: int = 4  # per seed, on held-out starts; 0: never validate
    checkpoint_interval: int = 1  # episodes between checkpoints
    checkpoints_to_keep: int = 2
    baselines: bool = False  # run plain MPPI at the same and the long horizon beside it
    memory_gib: float = 0.0  # what a program's temporaries may take; 0: half of what is there
    max_restores: int = 10  # times a seed's diverged Q is put back before the run stops
    real_system_timeout: float = 10.0  # seconds for a reset or step of one's own system; 0: none
    real_system_retries: int = 3  # failures in a row of one's own system before the run stops

    def validate(self) -> None:
        check_at_least('training.validation_interval', self.validation_interval, 0)
        check_at_least('training.validation_episodes', self.validation_episodes, 0)
        check_at_least('training.checkpoint_interval', self.checkpoint_interval, 1)
        check_at_least('training.checkpoints_to_keep', self.checkpoints_to_keep, 1)
        check_between('training.memory_gib', self.memory_gib, 0.0, None)
        check_at_least('training.max_restores', self.max_restores, 0)
        check_between('training.real_system_timeout', self.real_system_timeout, 0.0, None)
        check_at_least('training.real_system_retries', self.real_system_retries, 0)


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    task: str = 'pendulum'  # a registered name, or module:factory
    agent: str = 'mpq'
    planner_model: str = 'biased'
    q_data: str = 'real'  # Q learns from the 'real' system, or 'dr': models redrawn every step
    dr_bank_size: int = 256  # models that q_data='dr' redraws from
    # 'simulated': one program an episode; step by step: 'mujoco', 'gymnasium' (fetch_push), 'own'
    real_system: str = 'simulated'
    starts: str = 'reports'  # 'tuning': from streams of their own, to choose settings on
    seed: int = 0
    num_seeds: int = 4
    episodes: int = 30
    planner: PlannerConfig = PlannerConfig()
    learner: LearnerConfig = LearnerConfig()
    planner_physics: PhysicsConfig = PhysicsConfig()
    real_physics: PhysicsConfig = PhysicsConfig()
    training: TrainingConfig = TrainingConfig()
    # Values of numeric fields that run beside each other, each with all seeds, as one batch:
    # ({'planner.temperature': 0.1}, {'planner.temperature': 0.3}). Empty: the config as it is.
    variants: tuple[dict[str, float], ...] = ()

    @property
    def learns(self) -> bool:
        """Whether the agent learns Q: MPPI ends plans with the stage cost, 'none' has no plans."""
        return self.agent not in ('mppi', 'none')

    def stream(self, purpose: str) -> str:
        """The stream of start states for 'train', 'validation' or 'test' episodes."""
        return purpose if self.starts == 'reports' else f'tuning_{purpose}'

    @property
    def validation_interval(self) -> int:
        """Episodes between validations."""
        settings = self.training
        if settings.validation_interval:
            return settings.validation_interval
        return 10 if self.real_system == 'simulated' else 10 * max(1, settings.validation_episodes)

    @property
    def num_model_draws(self) -> int:
        """The planner's models: the one true model, or the biased draws."""
        return 1 if self.planner_model == 'true' else self.planner.num_model_draws

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.num_seeds))

    @property
    def members(self) -> tuple[tuple[int, int], ...]:
        """(variant, seed) of every member of the batch `[B]`, seeds fastest."""
        return tuple((v, seed) for v in range(max(1, len(self.variants))) for seed in self.seeds)

    def validate(self) -> 'Config':
        """Returns the config itself, or raises ConfigError naming field, value and range."""
        check_choice('agent', self.agent, tuple(AGENT_NAMES))
        check_choice('planner_model', self.planner_model, ('biased', 'true'))
        check_choice('q_data', self.q_data, ('real', 'dr'))
        check_choice('starts', self.starts, ('reports', 'tuning'))
        real_systems = ('simulated', 'mujoco', 'gymnasium', 'own')
        check_choice('real_system', self.real_system, real_systems)
        check_at_least('dr_bank_size', self.dr_bank_size, 1)
        if self.q_data == 'dr' and not self.learns:
            raise ConfigError('q_data', self.q_data, f"'real' when agent is {self.agent!r}")
        if self.q_data == 'dr' and self.real_system != 'simulated':
            raise ConfigError('real_system', self.real_system, "'simulated' when q_data is 'dr'")
        check_between('seed', self.seed, 0, 2**31 - 1)
        check_between('num_seeds', self.num_seeds, 1, 2**16)
        check_at_least('episodes', self.episodes, 1)
        self.planner.validate(self.agent)
        self.learner.validate()
        self.planner_physics.validate('planner_physics')
        self.real_physics.validate('real_physics')
        self.training.validate()
        self._check_validation()
        return self

    def _check_validation(self) -> None:
        """Validation on a system that is not simulated takes a tenth of the interaction at most."""
        episodes, interval = self.training.validation_episodes, self.validation_interval
        if self.learns and self.real_system != 'simulated' and 9 * episodes > interval:
            raise ConfigError(
                'training.validation_interval',
                interval,
                f'at least {9 * episodes} with training.validation_episodes = {episodes}: a tenth '
                f'of the interaction with real_system = {self.real_system!r} at most (0: chosen)',
            )
