"""What may change when a run goes on."""

from mpq_jax.base.validation import ConfigError
from mpq_jax.config import Batch, overrides

# Fields that a continued run may change. Of training.*, validation_* moves which parameters are
# best by validation; execution.*, straight_line and Warp's buffers move rounding; the rest shapes
# nothing that is computed: what was taken from another run is in the checkpoint.
_MAY_CHANGE = (
    'episodes', 'from_run', 'training.', 'execution.', 'planner_physics.straight_line',
    'real_physics.straight_line', 'planner_physics.warp_', 'real_physics.warp_',
)  # fmt: skip
_FIXED = ('training.validation_episodes',)  # whose returns the state holds


def check_matches(run: Batch, checkpoint: Batch) -> None:
    """Raises ConfigError naming the fields in which a checkpoint was made differently."""
    pairs = overrides.differences(run.config, checkpoint.config)
    if run.variants != checkpoint.variants:
        pairs['variants'] = run.variants, checkpoint.variants
    wrong = {
        name: pair
        for name, pair in pairs.items()
        if not name.startswith(_MAY_CHANGE) or name in _FIXED
    }
    if wrong:
        name, (value, before) = next(iter(wrong.items()))
        others = f' (so do: {", ".join(list(wrong)[1:])})' if len(wrong) > 1 else ''
        raise ConfigError(
            name, value, f'{before!r}, with which the checkpoint was made{others}; '
            'only episodes, training.* and execution.* may change when a run is continued, and of '
            'these not validation_episodes'
        )  # fmt: skip
