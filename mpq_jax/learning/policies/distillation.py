"""A policy distilled from a planner: fitted to what it would do where the policy leads (DAgger).

The planner is that of another run, with what was learned there. It acts in the first episodes, the
policy in all others, and beside it the planner says what it would have done.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import Config, DistilConfig
from mpq_jax.config.overrides import differences
from mpq_jax.dynamics import Model, Simulator, all_finite
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.best_parameters import best_params
from mpq_jax.learning.policies import fitting, tanh_policy
from mpq_jax.learning.policies.fitting import Examples, Fit
from mpq_jax.learning.policies.labelling import LabellingAgent
from mpq_jax.learning.policies.other_run import OtherRun
from mpq_jax.learning.policies.tanh_policy import PolicyParams, TanhNetwork
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.planning.agent import QParams
from mpq_jax.planning.policy_agent import PolicyAgent


class DistilledParams(NamedTuple):
    """What acts: the policy, and the planner that labels."""

    policy: PolicyParams
    expert: QParams  # as they came from the other run


class Distillation(NamedTuple):
    """`MemberState.learner`."""

    fit: Fit
    expert: QParams


def make_distilled(config: Config, simulator: Simulator, other: OtherRun) -> Algorithm:
    """The policy that is fitted to what another run's planner does.

    Args:
      config: of the run that is made; its planner's sizes and numbers are those it plans with.
      simulator: the planner's.
      other: the run whose planner it is.

    Raises:
      ConfigError: it has no planner, or believes in other models.
    """
    _check(config, other.config)
    expert, settings = other.algorithm.play, config.distil
    network = TanhNetwork(simulator.action_size, settings.hidden_width, settings.hidden_layers)
    agent = PolicyAgent(simulator, None, None, config.execution, _policy(network))
    labelling = functools.partial(
        LabellingAgent, simulator, None, expert.planner, config.execution, agent.policy,
        expert=expert,
    )  # fmt: skip
    return Algorithm(
        collect=labelling(follows=False),
        play=agent,
        init=functools.partial(_init, config, network, other),
        params=_params,
        store=_store,
        update=functools.partial(_update, network),
        keep_plans=True,
        bring=functools.partial(_bring, config.distil, other),
        explore=labelling(follows=True),
        explore_episodes=settings.expert_episodes,
    )


def _check(config: Config, other: Config) -> None:
    if not (other.plans and other.agent != config.agent):
        raise ConfigError(
            'from_run', config.from_run, f'a run of an agent that plans, not of {other.agent!r}'
        )
    for name, (own, theirs) in differences(config, other).items():
        if name.startswith(('planner_model', 'planner.name', 'belief.', 'dynamics.')):
            raise ConfigError(name, own, f'{theirs!r}, as in from_run = {config.from_run!r}')
    if config.distil.from_buffer and config.learns_dynamics:
        raise ConfigError(
            'distil.from_buffer', True,
            f'false when planner_model is {config.planner_model!r}: that run began with random '
            'actions',
        )  # fmt: skip


def _policy(network: TanhNetwork):
    def policy(params: DistilledParams, observation: jax.Array, key: jax.Array) -> jax.Array:
        return tanh_policy.respond(network, params.policy, observation)

    return policy


def _init(
    config: Config, network: TanhNetwork, other: OtherRun, numbers: Numbers, key, models: Model,
    transition: Transition,
) -> MemberState:  # fmt: skip
    """With zeros in the place of what is brought."""
    there = other.shapes.models, other.algorithm.params(other.shapes)
    models, expert = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), there)
    size = transition.observation.shape[0]
    policy = tanh_policy.fresh(network, size, keys.stream(key, 'network', 1))
    buffer = replay_buffer.empty(_kept(transition), config.learner.buffer_capacity)
    return MemberState(key, models, Distillation(fitting.begin(policy), expert), buffer)


def _bring(config: DistilConfig, other: OtherRun, state: MemberState) -> MemberState:
    """The planner's models and parameters, and what it did where that is asked for."""
    there = other.of_members(len(state.key))
    chosen = other.algorithm.params
    if config.expert_parameters == 'best' and other.config.learns_q:
        chosen = functools.partial(best_params, other.algorithm)
    learner = state.learner._replace(expert=jax.vmap(chosen)(there))
    state = state._replace(models=there.models, learner=learner)
    if config.from_buffer and isinstance(there.buffer, ReplayBuffer):
        state = state._replace(buffer=jax.vmap(_with_actions)(state.buffer, there.buffer))
    return state


def _with_actions(buffer: ReplayBuffer, there: ReplayBuffer) -> ReplayBuffer:
    """The buffer with the latest transitions of another run, whose actions are the labels."""
    count = min(buffer.storage.cost.shape[0], there.storage.cost.shape[0])
    rows = replay_buffer.latest(there, count)
    valid = jnp.arange(count) >= count - there.size
    return replay_buffer.add(buffer, _kept(rows._replace(next_plan=((), rows.action))), valid)


def _kept(transitions: Transition) -> Transition:
    """What is stored: where the system was, what was seen and done; as plan the label alone."""
    nothing: Any = ()
    return transitions._replace(
        next_state=nothing, next_observation=nothing, next_terminal_cost=nothing,
        next_plan=transitions.next_plan[1],
    )  # fmt: skip


def _params(state: MemberState) -> DistilledParams:
    return DistilledParams(state.learner.fit.policy, state.learner.expert)


def _store(state: MemberState, transitions: Transition, valid: jax.Array) -> MemberState:
    return state._replace(buffer=replay_buffer.add(state.buffer, _kept(transitions), valid))


def _update(
    network: TanhNetwork, numbers: Numbers, state: MemberState, episode: jax.Array
) -> tuple[MemberState, Metrics]:
    """One learning round; undone, with a loss of NaN, where it left the finite numbers."""
    before, rows = state.learner.fit, state.buffer.storage
    examples = Examples(rows.observation, rows.next_plan, state.buffer.size)
    key = keys.stream(state.key, 'learn', episode)
    fitted, loss, updates = fitting.fit(numbers.distil, network, before, examples, key)
    sound = all_finite((fitted, loss))
    usable = sound & (examples.size > 0)  # no data yet: nothing to learn from
    fit = jax.tree.map(lambda new, old: jnp.where(usable, new, old), fitted, before)
    figures = {'policy_loss': jnp.where(sound, loss, jnp.nan), 'updates': updates}
    return state._replace(learner=state.learner._replace(fit=fit)), Metrics(columns=figures)
