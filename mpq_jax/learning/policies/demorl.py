"""DeMoRL as an algorithm: soft actor-critic on what happened, and on what a planner made of it.

MoPAC and MBPO are settings of it (`suite.presets`). A round fits the model first
(`learned_dynamics`), rolls out and improves on it (`model_rollouts`), then takes gradient steps on
minibatches of which a scheduled share is real.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from mpq_jax.base import keys
from mpq_jax.base.validation import ConfigError
from mpq_jax.config import BasePlannerConfig, Config, DemorlConfig
from mpq_jax.dynamics import Model, Simulator
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.policies import sac
from mpq_jax.learning.policies.model_rollouts import Followed, InnerLoop
from mpq_jax.learning.policies.networks import ActorCritic, CostToGo, make_actor_critic
from mpq_jax.learning.policies.sac_step import Experience, StepFigures, Trained
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.planning.agent import Agent
from mpq_jax.planning.planners import load_planner_around


class DemorlState(NamedTuple):
    """A member's `learner`."""

    sac: sac.SACState
    model_buffer: ReplayBuffer  # of Experience


def make_demorl(config: Config, simulator: Simulator) -> Algorithm:
    """DeMoRL, MoPAC or MBPO: acts as SAC does. Raises ConfigError for a planner it cannot use."""
    networks = make_actor_critic(config.sac, simulator.action_size)
    plain = sac.make_sac(config, simulator)
    check_starts(config)
    planner = load_planner_around(config)
    agent = Agent(simulator, CostToGo(networks), planner, config.execution)
    loop = InnerLoop(agent, networks.sampled)
    return plain._replace(
        init=functools.partial(_init, config, plain),
        params=lambda state: plain.params(_acting(state)),
        store=functools.partial(_store, plain),
        update=functools.partial(_update, loop, networks),
    )


def rollout_steps(config: Config) -> int:
    """Control steps on the model in one learning round of one member."""
    planner, settings = config.planner, config.demorl
    plans = planner.num_samples * planner.iterations
    followed = 2 if plans else 1  # the policy, and what was made of it
    rollout = followed * planner.horizon + plans * (planner.horizon - 1)
    return settings.generations * settings.starts * rollout


def check_starts(config: Config) -> None:
    """Raises ConfigError where starts do not divide over the networks that plan."""
    starts, networks = config.demorl.starts, config.dynamics.num_elites
    if starts % networks:
        raise ConfigError(
            'demorl.starts', starts,
            f'a multiple of the {networks} networks that plan (dynamics.elites, or '
            'dynamics.members)',
        )  # fmt: skip


def _acting(state: MemberState) -> MemberState:
    """As SAC's functions know it."""
    return state._replace(learner=state.learner.sac)


def _init(
    config: Config, plain: Algorithm, numbers: Numbers, key, models: Model, transition: Transition
) -> MemberState:
    state = plain.init(numbers, key, models, transition)
    capacity = config.demorl.capacity(config.planner.horizon)
    model_buffer = replay_buffer.empty(Experience.of(transition), capacity)
    return state._replace(learner=DemorlState(state.learner, model_buffer))


def _store(
    plain: Algorithm, state: MemberState, transitions: Transition, valid: jax.Array
) -> MemberState:
    assert plain.store is not None
    stored = plain.store(_acting(state), transitions, valid)
    return stored._replace(learner=state.learner._replace(sac=stored.learner))


def _update(
    loop: InnerLoop, networks: ActorCritic, numbers: Numbers, state: MemberState, episode
) -> tuple[MemberState, Metrics]:
    """One learning round; its gradient steps are undone where they left the finite numbers."""
    before = state.learner.sac
    count = sac.steps_due(numbers.sac, before, state.buffer)
    key = keys.stream(state.key, 'learn', episode)
    round_ = _Round(loop, networks, numbers, state, count)
    carry = before.trained, state.learner.model_buffer, StepFigures.zero()
    generations = numbers.demorl.generations
    items = jnp.arange(generations), jax.random.split(key, generations)
    (trained, model_buffer, total), kept = jax.lax.scan(round_.generation, carry, items)
    trained, metrics = sac.kept_if_sound(numbers.sac, before.trained, trained, total, count)
    learner = DemorlState(before.after_round(trained), model_buffer)
    columns = {
        **metrics.columns,
        'model_share': 1.0 - round_.real_share,
        'model_transitions': kept.sum(),
    }
    return state._replace(learner=learner), metrics._replace(columns=columns)


class _Round(NamedTuple):
    """What the generations of a round share."""

    loop: InnerLoop
    networks: ActorCritic
    numbers: Numbers
    state: MemberState
    updates: jax.Array  # gradient steps

    @property
    def config(self) -> DemorlConfig:
        return self.numbers.demorl

    @property
    def real_share(self) -> jax.Array:
        c = self.config
        return c.at(self._steps, c.real_share_first, c.real_share_last)

    @property
    def _steps(self) -> jax.Array:
        return self.state.learner.sac.steps.astype(jnp.float32)

    def generation(self, carry, item):
        """Model transitions by the present policy, then its part of the gradient steps."""
        (trained, model_buffer, total), (place, key) = carry, item
        rollout_key, step_key = jax.random.split(key)
        followed = self._rollouts(trained, rollout_key)
        c = self.config
        length = jnp.round(c.at(self._steps, c.length_first, c.length_last))
        kept = followed.valid & (jnp.arange(followed.valid.shape[1]) < length)
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (followed.experience, kept))
        model_buffer = replay_buffer.add(model_buffer, *flat)
        done, due = (self.updates * at // c.generations for at in (place, place + 1))
        draw = functools.partial(mixed, self.numbers.sac.batch_size)
        trained, figures = sac.gradient_steps(
            self.networks, draw, self.numbers.sac, trained,
            (sac.seen(self.state.buffer), model_buffer, self.real_share), due - done, step_key,
        )  # fmt: skip
        return (trained, model_buffer, jax.tree.map(jnp.add, total, figures)), kept.sum()

    def _rollouts(self, trained: Trained, key: jax.Array) -> Followed:
        sample_key, key = jax.random.split(key)
        starts = replay_buffer.sample(self.state.buffer, sample_key, self.config.starts).state
        planner: BasePlannerConfig = self.numbers.planner
        q_params: Any = trained.target_qs, self.state.learner.sac.reward_scale
        return self.loop.rollouts(planner, trained.policy, q_params, self.state.models, starts, key)


def mixed(
    count: int, data: tuple[ReplayBuffer, ReplayBuffer, jax.Array], key: jax.Array
) -> Experience:
    """A minibatch whose first share is real, to the nearest transition; all real without others.

    `data` are the real system's buffer and the model's, both of experience, and the share.
    """
    (real, model, real_share), (real_key, model_key) = data, jax.random.split(key)
    wanted = jnp.where(model.size > 0, jnp.round(real_share * count), count)
    is_real = jnp.arange(count) < wanted

    def chosen(a, b):
        return jnp.where(is_real.reshape(-1, *[1] * (a.ndim - 1)), a, b)

    return jax.tree.map(
        chosen, sac.minibatch(count, real, real_key), sac.minibatch(count, model, model_key)
    )
