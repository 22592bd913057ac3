"""The configs of policies: how each is learned."""

from mpq_jax.config.policies.ars_config import ARSConfig
from mpq_jax.config.policies.demorl_config import DemorlConfig
from mpq_jax.config.policies.distil_config import DistilConfig
from mpq_jax.config.policies.sac_config import SACConfig

__all__ = ['ARSConfig', 'DemorlConfig', 'DistilConfig', 'SACConfig']
