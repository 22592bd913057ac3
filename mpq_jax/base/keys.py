"""Random streams that never meet: one base key a seed, folded with a purpose and indices."""

import jax

STREAMS = (
    'network', 'models', 'train', 'validation', 'test', 'learn', 'bank', 'dr',
    'tuning_train', 'tuning_validation', 'tuning_test', 'ensemble',
    'dynamics',
)  # fmt: skip


def stream(key: jax.Array, purpose: str, *indices) -> jax.Array:
    """The key for a purpose ('train', 'validation', 'test', ...) and indices (an episode)."""
    key = jax.random.fold_in(key, STREAMS.index(purpose))
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key


def seed_keys(seeds) -> jax.Array:
    """Typed base keys `[S]`: seed s has the same key alone and in a batch."""
    return jax.vmap(jax.random.key)(jax.numpy.asarray(seeds, dtype='uint32'))


def plant_key(episode_key: jax.Array, t) -> jax.Array:
    """The key that a redrawn system's model at control step `t` is picked with."""
    return jax.random.fold_in(stream(episode_key, 'dr'), t)
