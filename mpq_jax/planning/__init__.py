"""How an action comes to be: plans are sampled, rolled out, scored, weighted; free energies."""

from mpq_jax.planning.agent import Agent, QParams, make_agent
from mpq_jax.planning.free_energy import free_energy
from mpq_jax.planning.mppi import plan, state_value
from mpq_jax.planning.planner import Candidates, Planner, Update
from mpq_jax.planning.planners import load_planner

__all__ = [
    'Agent',
    'Candidates',
    'Planner',
    'QParams',
    'Update',
    'free_energy',
    'load_planner',
    'make_agent',
    'plan',
    'state_value',
]
