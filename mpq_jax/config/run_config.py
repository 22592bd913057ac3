"""What a run is made of: frozen dataclasses, one field a line."""

import dataclasses

from mpq_jax.base.validation import ConfigError, check_at_least, check_between, check_choice
from mpq_jax.config.agents import AGENTS, check_from_run, check_model, validate_planner
from mpq_jax.config.dynamics_config import LEARNED_MODELS, DynamicsConfig, check_particles
from mpq_jax.config.learner_config import LearnerConfig
from mpq_jax.config.planners import (
    BasePlannerConfig,
    BeliefConfig,
    PlannerConfig,
    check_draws,
)
from mpq_jax.config.policies import ARSConfig, DemorlConfig, DistilConfig, SACConfig

# One program an episode; step by step on native MuJoCo, or in somebody else's environment ('kind'
# for the task's own, 'kind:id'); one's own that `train` is given; what `register_real_system` adds.
ENVIRONMENTS = ('gymnasium', 'dm_control', 'playground')
REAL_SYSTEMS = ['simulated', 'mujoco', *ENVIRONMENTS, 'own']
WARP_GRAPH_MODES = ('auto', 'none', 'jax', 'warp', 'warp_staged', 'warp_staged_ex')


@dataclasses.dataclass(frozen=True)
class PhysicsConfig:
    """How one copy of the system is simulated; 0 and 'auto' mean: as the task says."""

    # 'mjx'; 'mujoco': native, on all cores; 'equations': hand-written; 'jax': MJX or equations.
    # 'auto': of a real system 'jax'; of a planner the faster one (`dynamics.for_planner`).
    backend: str = 'auto'
    impl: str = 'jax'  # MJX's: 'jax', or 'warp', which needs the extra `warp`
    # MJX's step, number by number: 'on', 'off'; 'auto' where that pays (dynamics/straight_line).
    straight_line: str = 'auto'
    timestep: float = 0.0  # seconds a physics step
    solver_iterations: int = 0
    line_search_iterations: int = 0  # of each solver iteration
    # Warp's buffers for one trajectory, and how its work is queued on a GPU (MJX's names; 'auto':
    # MJX's choice). 0: estimated by native MuJoCo (dynamics/warp).
    warp_contacts: int = 0  # contacts, and pairs of geoms that are near each other
    warp_constraints: int = 0
    warp_graph_mode: str = 'auto'

    def validate(self, where: str) -> None:
        check_choice(
            f'{where}.backend', self.backend, ('auto', 'jax', 'mjx', 'mujoco', 'equations')
        )
        check_choice(f'{where}.impl', self.impl, ('jax', 'warp'))
        check_choice(f'{where}.straight_line', self.straight_line, ('auto', 'on', 'off'))
        check_between(f'{where}.timestep', self.timestep, 0.0, None)
        counts = 'solver_iterations', 'line_search_iterations', 'warp_contacts', 'warp_constraints'
        for name in counts:
            check_at_least(f'{where}.{name}', getattr(self, name), 0)
        check_choice(f'{where}.warp_graph_mode', self.warp_graph_mode, WARP_GRAPH_MODES)
        if self.impl == 'warp' and self.straight_line == 'on':
            raise ConfigError(
                f'{where}.straight_line', 'on', f"'auto' or 'off' where {where}.impl is 'warp'"
            )


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """The loop around the learner."""

    # Episodes between validations; 0: 10, and on a system that is not simulated so many that
    # validation is less than a tenth of the real interaction.
    validation_interval: int = 0
    validation_episodes: int = 4  # per seed, on held-out starts; 0: never validate
    # Episodes between checkpoints; 0: as often as costs a twentieth of the time at most, and so
    # that a kill loses no more than a minute or an episode, whichever is longer.
    checkpoint_interval: int = 0
    checkpoints_to_keep: int = 2
    max_env_steps: int = 0  # after which of each seed a run ends, with its episode; 0: no bound
    baselines: bool = False  # run plain MPPI at the same and the long horizon beside it
    max_restores: int = 10  # times a seed's diverged Q is put back before the run stops
    real_system_timeout: float = 10.0  # seconds for a reset or step of one's own system; 0: none
    real_system_retries: int = 3  # failures in a row of one's own system before the run stops

    def validate(self) -> None:
        check_at_least('training.validation_interval', self.validation_interval, 0)
        check_at_least('training.validation_episodes', self.validation_episodes, 0)
        check_at_least('training.checkpoint_interval', self.checkpoint_interval, 0)
        check_at_least('training.checkpoints_to_keep', self.checkpoints_to_keep, 1)
        check_at_least('training.max_env_steps', self.max_env_steps, 0)
        check_at_least('training.max_restores', self.max_restores, 0)
        check_between('training.real_system_timeout', self.real_system_timeout, 0.0, None)
        check_at_least('training.real_system_retries', self.real_system_retries, 0)


@dataclasses.dataclass(frozen=True)
class ExecutionConfig:
    """How much is computed at once; 0: what suits the device. Results differ by rounding alone."""

    sample_chunk: int = 0  # of one plan's samples
    target_chunk: int = 0  # of the states whose targets are made
    # Local devices that share one plan's samples, at most; 0: where that pays (training/memory.py).
    sample_devices: int = 0
    memory_gib: float = 0.0  # what a program's temporaries may take; 0: half of what is there

    def validate(self) -> None:
        check_at_least('execution.sample_chunk', self.sample_chunk, 0)
        check_at_least('execution.target_chunk', self.target_chunk, 0)
        check_at_least('execution.sample_devices', self.sample_devices, 0)
        check_between('execution.memory_gib', self.memory_gib, 0.0, None)


@dataclasses.dataclass(frozen=True)
class Config:
    """A whole run."""

    task: str = 'pendulum'  # a registered name, or module:factory
    agent: str = 'mpq'
    # 'biased' draws, the 'true' one; or what is fitted to data (`dynamics`): 'learned' alone, or
    # 'residual', which corrects the biased draws.
    planner_model: str = 'biased'
    q_data: str = 'real'  # Q learns from the 'real' system, or 'dr': models redrawn every step
    dr_bank_size: int = 256  # models that q_data='dr' redraws from
    real_system: str = 'simulated'  # one of REAL_SYSTEMS, or 'dm_control:cartpole-swingup'
    starts: str = 'reports'  # 'tuning': from streams of their own, to choose settings on
    seed: int = 0
    num_seeds: int = 4
    episodes: int = 30
    from_run: str = ''  # the run that this one builds on: a planner to distil, a policy to correct
    planner: BasePlannerConfig = PlannerConfig()
    belief: BeliefConfig = BeliefConfig()
    learner: LearnerConfig = LearnerConfig()
    dynamics: DynamicsConfig = DynamicsConfig()
    sac: SACConfig = SACConfig()
    ars: ARSConfig = ARSConfig()
    distil: DistilConfig = DistilConfig()
    demorl: DemorlConfig = DemorlConfig()
    planner_physics: PhysicsConfig = PhysicsConfig()
    real_physics: PhysicsConfig = PhysicsConfig()
    training: TrainingConfig = TrainingConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @property
    def learns(self) -> bool:
        """Whether there are learning rounds: of Q, of the planner's model, or of both."""
        return self.learns_q or self.learns_dynamics

    @property
    def learns_q(self) -> bool:
        """Whether the agent learns Q or a policy, whatever it believes of the system."""
        return AGENTS[self.agent].learns

    @property
    def plans(self) -> bool:
        """Whether the agent has a planner, with physics of its own."""
        return AGENTS[self.agent].plans

    @property
    def learns_dynamics(self) -> bool:
        return self.planner_model in LEARNED_MODELS

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
        """The planner's models: the one true model, the biased draws, a draw for each network."""
        if self.learns_dynamics:
            return self.dynamics.members
        return 1 if self.planner_model == 'true' else self.belief.num_draws

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.seed, self.seed + self.num_seeds))

    def validate(self) -> 'Config':
        """Returns the config itself, or raises ConfigError naming field, value and range."""
        check_choice('agent', self.agent, tuple(AGENTS))
        check_from_run(self.agent, self.from_run)
        check_choice('q_data', self.q_data, ('real', 'dr'))
        check_choice('starts', self.starts, ('reports', 'tuning'))
        kind, colon, _ = self.real_system.partition(':')
        if not (colon and kind in ENVIRONMENTS):
            check_choice('real_system', self.real_system, tuple(REAL_SYSTEMS))
        check_at_least('dr_bank_size', self.dr_bank_size, 1)
        if self.q_data == 'dr' and not self.learns_q:
            raise ConfigError('q_data', self.q_data, f"'real' when agent is {self.agent!r}")
        if self.q_data == 'dr' and self.learns_dynamics:
            raise ConfigError(
                'q_data', self.q_data, f"'real' when planner_model is {self.planner_model!r}"
            )
        if self.q_data == 'dr' and self.real_system != 'simulated':
            raise ConfigError('real_system', self.real_system, "'simulated' when q_data is 'dr'")
        check_between('seed', self.seed, 0, 2**31 - 1)
        check_between('num_seeds', self.num_seeds, 1, 2**16)
        check_at_least('episodes', self.episodes, 1)
        validate_planner(self.agent, self.planner)
        self.belief.validate()
        check_model(self.agent, self.planner_model)
        if self.learns_dynamics:
            self._check_dynamics()
        else:
            check_draws(self.planner, self.belief)
        if self.agent == 'softq' and self.planner.horizon != 1:
            raise ConfigError('planner.horizon', self.planner.horizon, "1 when agent is 'softq'")
        self.learner.validate()
        self.sac.validate()
        self.ars.validate()
        self.distil.validate()
        if AGENTS[self.agent].on_learned:
            self.demorl.validate(self.planner)
        self.planner_physics.validate('planner_physics')
        self.real_physics.validate('real_physics')
        self.training.validate()
        self.execution.validate()
        self._check_validation()
        return self

    def _check_dynamics(self) -> None:
        model = self.planner_model
        self.dynamics.validate()
        check_particles(self.planner, self.dynamics)
        if self.belief.redraw != 'run':
            raise ConfigError(
                'belief.redraw', self.belief.redraw, f"'run' when planner_model is {model!r}"
            )
        if self.dynamics.random_episodes >= self.episodes:
            raise ConfigError(
                'dynamics.random_episodes', self.dynamics.random_episodes,
                f'less than episodes = {self.episodes}: in these no model is planned with',
            )  # fmt: skip

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
