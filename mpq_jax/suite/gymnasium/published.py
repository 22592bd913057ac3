"""Preset 'published' of DeMoRL, MoPAC, MBPO and SAC: the settings of DeMoRL's and MBPO's code.

The fork of MoPAC (Samineni, 2021) and MBPO's configs (Janner et al., 2019). What differs here:
learning rounds come after an episode, not after 250 control steps (an episode of HalfCheetah has
four generations of starts, those that end early have one); weight decay has three values in the
place of five. A day of a CPU and more a seed: a run says first how much it is.
"""

from typing import Any, NamedTuple

Fields = dict[str, Any]


class _Schedule(NamedTuple):
    """Linear in the control steps, from `begin` to `end` thousands."""

    begin: float
    end: float
    first: float
    last: float


class _Of(NamedTuple):
    """What differs between environments."""

    updates: float  # gradient steps a control step
    thousands: int  # of control steps, a run
    share: _Schedule  # of real data, DeMoRL and MoPAC
    length: _Schedule  # of a rollout, the same
    mbpo_length: _Schedule
    mbpo_entropy: float  # target, in -nu; DeMoRL's and MoPAC's is 0
    width: int = 200  # of the model's layers
    generations: int = 1


_FIVE = _Schedule(0, 500, 5, 5)
_MOSTLY_REAL = _Schedule(0, 500, 0.8, 0.8)
_OF = {
    'HalfCheetah-v5': _Of(
        40, 60, _Schedule(0, 70, 0.2, 0.8), _FIVE, _Schedule(20, 150, 1, 1), 3 / 6, generations=4
    ),
    'Hopper-v5': _Of(20, 60, _MOSTLY_REAL, _FIVE, _Schedule(20, 150, 1, 15), 1 / 3),
    'Walker2d-v5': _Of(20, 300, _MOSTLY_REAL, _FIVE, _Schedule(20, 150, 1, 1), 3 / 6),
    'Ant-v5': _Of(20, 80, _MOSTLY_REAL, _FIVE, _Schedule(20, 100, 1, 25), 4 / 8),
    'Humanoid-v5': _Of(
        20, 300, _Schedule(0, 80, 0.95, 0.05), _Schedule(0, 80, 5, 15), _Schedule(20, 300, 1, 25),
        2 / 17, width=400,
    ),
    'InvertedPendulum-v5': _Of(
        10, 15, _Schedule(0, 70, 0.05, 0.05), _FIVE, _Schedule(1, 15, 1, 1), 0.05
    ),
}  # fmt: skip
_SAC = {
    'sac.hidden_width': 256,
    'sac.hidden_layers': 2,
    'sac.learning_rate': 3e-4,
    'sac.batch_size': 256,
    'sac.discount': 0.99,
    'sac.polyak': 5e-3,
    'sac.random_steps': 5000.0,
}
_MODEL = {
    'dynamics.members': 7,
    'dynamics.elites': 5,
    'dynamics.hidden_layers': 4,
    'dynamics.batch_size': 256,
    'dynamics.learning_rate': 1e-3,
    'dynamics.weight_decay_first': 2.5e-5,
    'dynamics.weight_decay': 7.5e-5,
    'dynamics.weight_decay_last': 1e-4,
    'dynamics.holdout': 0.2,
    'dynamics.epochs': 200,  # at most: five without one per cent's improvement end a fit
    'dynamics.patience': 5,
    'dynamics.improvement': 0.01,
}
_PLANS = {
    'planner.num_samples': 100,
    'planner.elite_fraction': 0.1,
    'planner.noise_variance': 0.25,
    'demorl.starts': 10_000,
}


def presets(environment_id: str) -> dict[str, dict[str, Fields]]:
    """By name, then by agent."""
    if environment_id not in _OF:
        return {}
    of = _OF[environment_id]
    common: Fields = _SAC | {
        'sac.updates_per_step': float(of.updates),
        'sac.target_entropy_scale': 0.0,
        'episodes': 1000 * of.thousands,  # more than there can be
        'training.max_env_steps': 1000 * of.thousands,
        'learner.buffer_capacity': 1000 * of.thousands + 1000,
    }
    model: Fields = common | _MODEL | {'dynamics.hidden_width': of.width}
    planned = model | _PLANS | _rollouts(of, of.share, of.length)
    alone = model | {'sac.target_entropy_scale': of.mbpo_entropy, 'demorl.starts': 100_000}
    real = of.share._replace(first=0.05, last=0.05)
    mbpo = alone | _rollouts(of, real, of.mbpo_length)
    return {'published': {'sac': common, 'demorl': planned, 'mopac': planned, 'mbpo': mbpo}}


def _rollouts(of: _Of, share: _Schedule, length: _Schedule) -> Fields:
    """One schedule here serves both: where each moves, they move together."""
    moving = length if length.first != length.last else share
    return {
        'planner.horizon': int(length.last),
        'demorl.generations': of.generations,
        'demorl.retained_rounds': 4 // of.generations,
        'demorl.schedule_from': 1000.0 * moving.begin,
        'demorl.schedule_until': 1000.0 * moving.end,
        'demorl.real_share_first': share.first,
        'demorl.real_share_last': share.last,
        'demorl.length_first': float(length.first),
        'demorl.length_last': float(length.last),
    }
