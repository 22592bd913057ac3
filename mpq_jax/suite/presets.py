"""Named starting points: a config for a task and an agent."""

from typing import Any

from mpq_jax.base.validation import check_choice
from mpq_jax.config import Config
from mpq_jax.config.agents import AGENTS
from mpq_jax.config.fields import set_fields
from mpq_jax.tasks import load_task

# Nothing is planned: no horizon, no belief.
_NO_PLANS: dict[str, Any] = {
    'planner.horizon': 1,
    'planner.num_samples': 1,
    'planner.iterations': 1,
    'belief.num_draws': 1,
    'belief.redraw': 'run',
    'q_data': 'real',
}
_ALONG_POLICY: dict[str, Any] = {
    'planner_model': 'learned',
    'q_data': 'real',
    'planner.name': 'dmd',
    'planner.covariance': 'fixed',
    'planner.noise': 'white',
    'planner.loss': 'low_cost',
    'planner.elite_fraction': 0.1,
    'planner.horizon': 5,
    'planner.num_samples': 20,
    'planner.iterations': 1,
    'planner.noise_variance': 0.25,
    'planner.step_size': 1.0,
    'planner.discount': 0.99,
    'belief.redraw': 'run',
    'learner.buffer_capacity': 100_000,
    'dynamics.particles': 0,
    'sac.random_steps': 0.0,  # the first episodes are random
}
# What makes an agent what it is, whatever the task and the preset.
_AGENTS: dict[str, dict[str, Any]] = {
    # MPQ at H = 1 with a target network; its polyak factor is undisclosed: this one is ours.
    'softq': {
        'planner.horizon': 1,
        'learner.target_network': True,
        'learner.polyak': 0.005,
    },
    # A hundred iterations of sixteen directions; validated after every tenth.
    'ars': {
        'episodes': 3200,
        'learner.episodes_per_round': 32,
        'training.validation_interval': 320,
    },
    'demo_layer': {
        'planner.name': 'dmd',
        'planner.covariance': 'fixed',
        'planner.noise': 'white',
    },
    # DeMoRL and its kin: plans of five actions along the policy, on a learned model. One mirror
    # step moves them to the elite's mean, to exponential weights' mean, or not at all.
    'demorl': _ALONG_POLICY,
    'mopac': {**_ALONG_POLICY, 'planner.loss': 'exponential_utility', 'planner.temperature': 1.0},
    'mbpo': {**_ALONG_POLICY, 'planner.iterations': 0},
    # Plans are acted on: three steps and Q, a hundred samples of which five are the policy's, five
    # times, on four particles of each network. SAC's sizes are those of the authors' robots.
    'demorl_online': {
        **_ALONG_POLICY,
        'planner.covariance': 'diagonal',
        'planner.convention': 'new_mean',
        'planner.covariance_step_size': 0.9,
        'planner.loss': 'exponential_utility',
        'planner.temperature': 1.0,
        'planner.horizon': 3,
        'planner.num_samples': 100,
        'planner.iterations': 5,
        'planner.discount': 1.0,
        'dynamics.particles': 20,
        'demorl.length_first': 3.0,
        'demorl.length_last': 3.0,
        'sac.hidden_width': 32,
        'sac.learning_rate': 1e-3,
    },
    # It learns from all that it ever saw; where a controller reads a state, with what is so.
    'sac': {'learner.buffer_capacity': 100_000, 'planner_model': 'true'},
}


def preset(task: str = 'pendulum', agent: str = 'mpq', name: str = 'default') -> Config:
    """The config that suits a task and an agent, before any override.

    Args:
      task: registered name or `module:factory`.
      agent: 'mpq', 'mppi', 'softq', 'sac', or 'none': no control at all, what the others are held
        against.
      name: 'default' (the task's own settings), or one of the task's presets; the paper's four
        tasks have 'paper' (Table 3 to the letter, fresh targets for every minibatch) and
        'paper_learning' (their own settings, but Q learns as in 'paper'), the cartpole 'pets',
        Gymnasium's environments 'published' for DeMoRL, MoPAC, MBPO and SAC.

    Raises:
      ConfigError, TaskError: an unknown agent, preset or task.
    """
    check_choice('agent', agent, tuple(AGENTS))
    definition = load_task(task)
    of_agent = {k: own[agent] for k, own in definition.agent_presets.items() if agent in own}
    check_choice('preset', name, ('default', *definition.presets, *of_agent))
    config = set_fields(Config(task=task, agent=agent), definition.settings)
    if name != 'paper':
        config = set_fields(config, definition.agent_settings.get(agent, {}))
    config = set_fields(config, definition.presets.get(name, {}))
    config = set_fields(config, _of_agent(config, agent))
    return set_fields(config, of_agent.get(name, {}))


def _of_agent(config: Config, agent: str) -> dict[str, Any]:
    """What makes the agent what it is; a plan of one action has no room for knots."""
    fields = {**({} if AGENTS[agent].plans else _NO_PLANS), **_AGENTS.get(agent, {})}
    if 'planner.horizon' in fields and getattr(config.planner, 'noise', 'white') == 'knots':
        fields['planner.noise'] = 'white'
    return fields


def baseline(config: Config, *, long: bool, planner_model: str = 'biased') -> Config:
    """The plain MPPI that a run is held against, at the same or the task's long horizon.

    It plans with what suits MPPI: the task's settings for it, where they differ from the run's.
    """
    task = load_task(config.task)
    horizon = task.long_horizon if long else config.planner.horizon
    fields: dict[str, Any] = {
        'agent': 'mppi', 'planner_model': planner_model, 'planner.horizon': horizon, 'from_run': ''
    }  # fmt: skip
    if config.planner.name != 'mppi':
        fields['planner.name'] = 'mppi'
    return set_fields(config, {**task.agent_settings.get('mppi', {}), **fields, 'q_data': 'real'})


def no_control(config: Config) -> Config:
    """The same episodes without any control."""
    fields = {'agent': 'none', 'planner_model': 'biased', 'from_run': ''}
    fields |= _of_agent(config, 'none')
    return set_fields(config, {**fields, 'planner.name': 'mppi'})
