"""How an action comes to be: plans are sampled, rolled out, scored, weighted; free energies."""

from mpq_jax.planning.agent import Agent, QParams
from mpq_jax.planning.free_energy import free_energy
from mpq_jax.planning.mppi import plan, state_value

__all__ = ['Agent', 'QParams', 'free_energy', 'plan', 'state_value']
