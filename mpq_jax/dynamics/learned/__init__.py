"""Dynamics that are fitted to data: an ensemble of networks in the place of physics, or on them."""

from mpq_jax.dynamics.learned.coordinates import Coordinates, coordinates_of
from mpq_jax.dynamics.learned.network import DynamicsNetwork, Member, Scales, predict
from mpq_jax.dynamics.learned.simulator import (
    Ensemble,
    LearnedDynamics,
    LearnedSimulator,
    make_learned_simulator,
    mean_step,
)

__all__ = [
    'Coordinates',
    'DynamicsNetwork',
    'Ensemble',
    'LearnedDynamics',
    'LearnedSimulator',
    'Member',
    'Scales',
    'coordinates_of',
    'make_learned_simulator',
    'mean_step',
    'predict',
]
