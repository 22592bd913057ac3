"""Figures of curves over seeds: none is dropped, and their bands are what they are said to be."""

import numpy as np
import pytest

from mpq_jax.base.statistics import confidence_interval
from mpq_jax.figures import plots, seed_curves

DRAWS = True


def test_no_curve_is_dropped_and_grey_is_no_controls():
    labels = ['no control', *(f'MPQ H={h}' for h in range(12))]
    styles = seed_curves.curve_styles(labels)
    assert styles[0]['color'] == '#7d8a94'
    assert len({(style['color'], style['ls']) for style in styles}) == 13
    assert all(style['color'] != '#7d8a94' for style in styles[1:])


def test_a_figure_has_every_curve_and_few_seeds_as_lines(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, 'save', lambda figure, path: figures.append(figure))
    curves = {f'MPQ H={h}': np.full((2, 20), float(h)) for h in range(8)} | {
        'no control': np.zeros((6, 20))
    }
    plots.learning_curve(curves, tmp_path / 'a.png', 'ours', {}, 'return')
    for axes in figures[0].axes:
        labels = [line.get_label() for line in axes.lines if not line.get_label().startswith('_')]
        assert labels == list(curves)
        assert len(axes.lines) == 9 + 8 * 2 and len(axes.collections) == 1  # one band
    title = figures[0].get_suptitle()
    assert 'band: 95 % interval' in title and 'thin lines: the seeds' in title
    assert seed_curves.caption([2, 2]) == 'mean of 2 seeds, thin lines: the seeds'
    assert seed_curves.caption([8]) == 'mean of 8 seeds, band: 95 % interval'


@pytest.mark.parametrize('measure', ['return', 'success'])
def test_bands_are_the_intervals_of_what_is_drawn(tmp_path, monkeypatch, measure):
    """Successes since the first episode: as a count, of rates over so many episodes."""
    figures = []
    monkeypatch.setattr(plots, 'save', lambda figure, path: figures.append(figure))
    table = np.random.default_rng(0).integers(0, 2, (6, 20)).astype(float)
    plots.learning_curve({'MPQ H=4': table}, tmp_path / 'a.png', 'ours', {}, measure)
    (band,) = figures[0].axes[1].collections
    edges = band.get_paths()[0].vertices
    at_last = edges[edges[:, 0] == 20][:, 1]
    rates = table.mean(axis=1)
    if measure == 'return':
        low, high = confidence_interval(rates)
    else:
        low, high = 20 * np.array(confidence_interval(rates, 20))
    np.testing.assert_allclose([at_last.min(), at_last.max()], [low, high])
