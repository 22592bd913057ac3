"""Figures of a run, curves of seeds, and films of an episode."""

from mpq_jax.figures.plots import episode_figure, learning_curve, throughput
from mpq_jax.figures.video import check_video, write_video

__all__ = [
    'check_video',
    'episode_figure',
    'learning_curve',
    'throughput',
    'write_video',
]
