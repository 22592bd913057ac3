"""MPQ(lambda): the estimates of all horizons up to H in one, as Q grows better than the model.

Bhardwaj, Choudhury and Boots, *Blending MPC and Value Function Approximation for Efficient
Reinforcement Learning* (ICLR 2021). With d the discount and Q_k that of the k-th state and action,

    sum_{k <= H-2} (d lambda)^k [(1 - lambda) Q_k + lambda c_k] + (d lambda)^{H-1} Q_{H-1},

the control term outside. lambda = 1 is MPQ, 0 is Q alone. Between them the free energy is above the
soft value even of a perfect model and a perfect Q: the exponent mixes geometrically. The paper has
lambda fall as Q learns, and says no more: schedules and rates are ours.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar

import jax.numpy as jnp

from mpq_jax.config import BasePlannerConfig

C = TypeVar('C', bound=BasePlannerConfig)


def mixes(config: BasePlannerConfig) -> bool:
    """Whether Q counts on the way, not at the end alone."""
    return config.td_schedule != 'off'


def stage_cost(config: BasePlannerConfig, cost: Callable, terminal_cost: Callable) -> Callable:
    """(1 - lambda) Q + lambda c of a reading, variables and an action; c alone at lambda = 1."""
    share = config.td_lambda

    def mixed(reading, variables, action) -> Any:
        q = terminal_cost(reading, variables, action)
        ahead = jnp.where(share < 1.0, (1.0 - share) * q, 0.0)  # a Q that overflows: not 0 * inf
        return ahead + share * cost(reading, variables, action)

    return mixed


def at_episode(config: C, episode) -> C:
    """The config with lambda as the schedule has it in a training episode, from 0 on."""
    if config.td_schedule in ('off', 'constant'):
        return config
    done: Any = jnp.clip(episode / config.td_episodes, 0.0, 1.0)
    first: Any
    first, last = config.td_lambda, config.td_lambda_final
    if config.td_schedule == 'linear':
        return dataclasses.replace(config, td_lambda=first + (last - first) * done)
    return dataclasses.replace(config, td_lambda=first * (last / first) ** done)


def at_end(config: C, episode=None) -> C:
    """As it is in validation and test episodes and in a controller: where the schedule ends."""
    if config.td_schedule in ('off', 'constant'):
        return config
    return dataclasses.replace(config, td_lambda=config.td_lambda_final)
