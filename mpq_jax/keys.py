"""Random streams that never meet: one base key a seed, folded with a purpose and indices."""

import jax

_STREAMS = (
    'network', 'models', 'train', 'validation', 'test', 'learn', 'bank', 'dr',
    'tuning_train', 'tuning_validation', 'tuning_test',
)  # fmt: skip


def stream(key: jax.Array, purpose: str, *indices) -> jax.Array:
    """The key for a purpose ('train', 'validation', 'test', ...) and indices (an episode)."""
    key = jax.random.fold_in(key, _STREAMS.index(purpose))
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key


def seed_keys(seeds) -> jax.Array:
    """Typed base keys `[S]`: seed s has the same key alone and in a batch."""
    return jax.vmap(jax.random.key)(jax.numpy.asarray(seeds, dtype='uint32'))
