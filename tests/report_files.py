"""Run and sweep directories without a training: files as those write them."""

import base64
import csv
import itertools
import json

import numpy as np

import mpq_jax
from mpq_jax.base.statistics import confidence_interval
from mpq_jax.config import Batch
from mpq_jax.runs import metrics

SEEDS, EPISODES, HORIZONS = 5, 12, (1, 2, 4)
INJECTION = '</script><img src=x onerror="window.injected = 1">'
MANIFEST = {'date': '2026-11-21T01:50:43+00:00', 'versions': {'jax': '0.10.2', 'torch': None}}
# One pixel each: enough for a browser.
PNG = base64.b64decode(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
)
GIF = base64.b64decode('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7')


def returns(horizon):
    """Of every seed and episode `[S, E]`, the same at every call."""
    rng = np.random.default_rng(horizon)
    return np.round(-1000 / np.arange(1, EPISODES + 1) + 20 * rng.normal(size=(SEEDS, EPISODES)), 3)


def metric_rows(horizon, seeds=SEEDS, episodes=EPISODES):
    """As a run writes them, with a column that this version does not know."""
    for episode, seed in itertools.product(range(episodes), range(seeds)):
        row = dict.fromkeys(metrics.COLUMNS, '')
        steps = (episode + 1) * 100 * horizon
        row |= {'seed': seed, 'episode': episode, 'return': returns(horizon)[seed, episode]}
        row |= {'env_steps': 100, 'model_steps': steps, 'q_loss': 'nan' if episode else 0.5}
        yield row | {'validation_return': -5.0 if episode % 5 == 4 else '', 'novelty': seed + 1}


def write_csv(path, rows):
    rows = list(rows)
    with open(path, 'w', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_run(path, horizon, **rows):
    path.mkdir(parents=True)
    fields = {'planner.horizon': horizon, 'num_seeds': SEEDS, 'episodes': EPISODES}
    config = mpq_jax.set_fields(mpq_jax.preset('pendulum'), fields)
    (path / 'config.json').write_text(Batch(config).to_json())
    (path / 'manifest.json').write_text(json.dumps(MANIFEST))
    (path / 'episode.png').write_bytes(PNG)
    write_csv(path / 'metrics.csv', metric_rows(horizon, **rows))


def write_run_with_baseline(path):
    """A run with a baseline, replays and an evaluation."""
    write_run(path, 2)
    write_run(path / 'baselines' / 'mppi_h4', 4)
    (path / 'episode.gif').write_bytes(GIF)
    (path / 'baselines' / 'mppi_h4' / 'slow.MP4').write_bytes(b'not looked into')
    figure = {'mean': -7.25, 'low': -8.5, 'high': -6.0, 'per_seed': {'0': {'mean': -7.125}}}
    evaluation = {'parameters': 'best', 'trained_episodes': 12, 'test_episodes_per_seed': 20}
    (path / 'evaluation.json').write_text(
        json.dumps(evaluation | {'return': figure, 'success': None})
    )
    return path


def summary(horizon):
    means = returns(horizon).mean(axis=1)
    low, high = map(float, confidence_interval(means))
    figure = {'mean': means.mean(), 'iqm': -1.0, 'low': low, 'high': high}
    figure['per_seed'] = means.tolist()
    return {
        'configuration': HORIZONS.index(horizon),
        'label': f'H={horizon}' + (INJECTION if horizon == 4 else ''),
        'fields': {'planner.horizon': horizon},
        'seeds': list(range(SEEDS)),
        'episodes': EPISODES,
        'final': figure,
        'auc': figure | {'low': None, 'high': None},
        'model_steps': 3600 * horizon,
        'wall_seconds': 12.5,
    }


def write_sweep(path):
    """A finished sweep of the horizon, one configuration a cell."""
    cells = []
    for horizon in HORIZONS:
        name, fields = f'cells/planner.horizon={horizon}', {'planner.horizon': horizon}
        write_run(path / name, horizon)
        cells.append({'directory': name, 'configurations': [fields], 'seeds': list(range(SEEDS))})
    description = {
        'fixed': {'task': 'pendulum', 'agent': 'mpq'},
        'swept': {'planner.horizon': list(HORIZONS)},
        'seeds': list(range(SEEDS)),
        'episodes': EPISODES,
        'cells': cells,
    }
    (path / 'sweep.json').write_text(json.dumps(description))
    (path / 'manifest.json').write_text(json.dumps(MANIFEST | {'command': INJECTION}))
    write_csv(
        path / 'sweep.csv',
        (
            {'configuration': i, 'planner.horizon': horizon} | row
            for i, horizon in enumerate(HORIZONS)
            for row in metric_rows(horizon)
        ),
    )
    definition = {'final': 'the last quarter', 'auc': 'all', 'interval': '95 %'}
    configurations = [summary(horizon) for horizon in HORIZONS]
    (path / 'summary.json').write_text(
        json.dumps(
            {'definition': definition, 'measure': 'return'} | {'configurations': configurations}
        )
    )
    return path
