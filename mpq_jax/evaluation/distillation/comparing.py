"""A planner and the policy distilled from it: the same test starts, and what an action takes."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mpq_jax.base.machine import usable_cores
from mpq_jax.base.statistics import INTERVAL, confidence_interval
from mpq_jax.config.labels import agent_label
from mpq_jax.environments.episode import SUCCESSES
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.evaluation.controller import Controller
from mpq_jax.evaluation.evaluator import evaluate
from mpq_jax.evaluation.loaded_controller import load_controller
from mpq_jax.evaluation.policy_controller import PolicyController
from mpq_jax.runs.run_directory import RunDirectory

_FIGURES = ('return', *SUCCESSES)
_SECONDS, _MOST_CALLS = 0.5, 2000  # that one thing is timed for
# What the seconds of an action are of.
MEASURED = {
    'compiled': "one call of the compiled program, median: the planner's from positions and "
    "velocities, the policy's from an observation",
    'act': 'a whole `Controller.act`: its checks, the program, the array that comes back, median',
    'act_on': 'a whole `PolicyController.act_on`, from an observation, median',
}


def compare(
    run: RunDirectory, distilled: RunDirectory, episodes: int,
    real_systems: Sequence[RealSystem], console: Console,
) -> dict[str, Any]:  # fmt: skip
    """Figures of both, of the differences by seed, of no control; and the seconds of an action."""
    config = distilled.read_config()
    which = config.distil.expert_parameters
    planned = evaluate(
        run.path, episodes, parameters=which, real_systems=real_systems, write=False,
        console=console,
    )  # fmt: skip
    seeds = [str(seed) for seed in config.seeds]
    played = evaluate(
        distilled.path, episodes, real_systems=real_systems, beside_no_control=False,
        console=console,
    )  # fmt: skip
    names = [name for name in _FIGURES if played[name] is not None]
    return {
        'task': config.task,
        'planner_is': agent_label(run.read_config()),
        'planner_episodes': planned['trained_episodes'],
        'planner_parameters': planned['parameters'],
        'episodes': played['trained_episodes'],
        'expert_episodes': config.distil.expert_episodes,
        'test_episodes_per_seed': episodes,
        'seeds': list(config.seeds),
        'interval': INTERVAL,
        'planner': {name: _of_seeds(planned[name], seeds, name) for name in names},
        'policy': {name: _of_seeds(played[name], seeds, name) for name in names},
        'policy_minus_planner': {
            name: _difference(played[name], planned[name], seeds) for name in names
        },
        **({'no_control': _idle(planned, seeds, names)} if 'no_control' in planned else {}),
        'seconds_of_an_action': seconds_of_an_action(run, distilled, which),
    }


def _means(figure: dict[str, Any], seeds: list[str]) -> np.ndarray:
    return np.array([figure['per_seed'][seed]['mean'] for seed in seeds], float)


def _of_seeds(figure: dict[str, Any], seeds: list[str], name: str) -> dict[str, Any]:
    """The mean with its interval, and every seed's."""
    means = _means(figure, seeds)
    episodes = len(figure['per_seed'][seeds[0]]['episodes']) if name in SUCCESSES else None
    return _described(means, seeds, episodes)


def _difference(own: dict[str, Any], reference: dict[str, Any], seeds: list[str]) -> dict[str, Any]:
    """Of seeds, each on the same starts."""
    return _described(_means(own, seeds) - _means(reference, seeds), seeds, None)


def _idle(planned: dict[str, Any], seeds: list[str], names: list[str]) -> dict[str, Any]:
    return {name: _of_seeds(planned['no_control'][name], seeds, name) for name in names}


def _described(means: np.ndarray, seeds: list[str], episodes: int | None) -> dict[str, Any]:
    low, high = (float(x) for x in confidence_interval(means, episodes))
    return {
        'mean': round(float(means.mean()), 4),
        'low': None if np.isnan(low) else round(low, 4),
        'high': None if np.isnan(high) else round(high, 4),
        'per_seed': {seed: round(float(x), 4) for seed, x in zip(seeds, means, strict=True)},
    }


def seconds_of_an_action(run: RunDirectory, distilled: RunDirectory, which: str) -> dict[str, Any]:
    """Of the first seed's planner and policy, on this machine's default device."""
    seed = distilled.read_config().seed
    planner = load_controller(run.path, seed, parameters=which)
    policy = load_controller(distilled.path, seed)
    assert isinstance(policy, PolicyController)
    observation = np.zeros(policy.observation_size, np.float32)
    plan = planner.program(*planner.tried_at)
    respond = functools.partial(policy.respond, observation, np.int32(0))
    return {
        'planner': {'compiled': _seconds(plan), 'act': _seconds_of_act(planner)},
        'policy': {
            'compiled': _seconds(respond),
            'act_on': _seconds(lambda: policy.act_on(observation)),
            'act': _seconds_of_act(policy),
        },
        'measured': MEASURED,
        'device': f'{jax.devices()[0].device_kind}, {usable_cores()} CPU cores',
    }


def _seconds_of_act(controller: Controller) -> float:
    return _seconds(lambda: controller.act(*controller.tried_at))


def _seconds(call: Callable[[], Any]) -> float:
    """Median of many calls, until what they compute is there."""
    jax.block_until_ready(call())
    taken: list[float] = []
    while sum(taken) < _SECONDS and len(taken) < _MOST_CALLS:
        begin = time.perf_counter()
        jax.block_until_ready(call())
        taken.append(time.perf_counter() - begin)
    return float(f'{np.median(taken):.3g}')


def in_words(seconds: dict[str, Any]) -> str:
    """What an action takes, of `seconds_of_an_action`, as a sentence."""
    planner, policy = seconds['planner'], seconds['policy']
    return (
        f'the planner at {1e3 * planner["compiled"]:.3g} ms, the policy at '
        f'{1e6 * policy["compiled"]:.3g} us an action (one call of the compiled program; the whole '
        f'`act` of a controller: {1e3 * planner["act"]:.3g} ms and {1e6 * policy["act"]:.3g} us, '
        f'`act_on` {1e6 * policy["act_on"]:.3g} us), on {seconds["device"]}'
    )
