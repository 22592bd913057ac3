"""How Q is learned: the network, the replay buffer, free-energy targets, and fitting."""

from mpq_jax.learning.algorithm import Algorithm, MemberState, Metrics, Numbers
from mpq_jax.learning.algorithms import register_algorithm
from mpq_jax.learning.learner import LearnerState, learn, make_targets
from mpq_jax.learning.q_function import QNetwork, make_network
from mpq_jax.learning.replay_buffer import ReplayBuffer, Transition
from mpq_jax.learning.workload import Workload

__all__ = [
    'Algorithm',
    'LearnerState',
    'MemberState',
    'Metrics',
    'Numbers',
    'QNetwork',
    'ReplayBuffer',
    'Transition',
    'Workload',
    'learn',
    'make_network',
    'make_targets',
    'register_algorithm',
]
