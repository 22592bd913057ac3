"""The paper's published numbers, as data (see README.md beside this file)."""

import csv
import gzip
from pathlib import Path

import numpy as np

_HERE = Path(__file__).parent


def training_curves(task: str) -> dict[tuple[str, int, str], np.ndarray]:
    """(agent, horizon, planner model) -> values by episode, from the first; {} for other tasks."""
    return _curves('figure1_training_curves.csv.gz', task)


def ablation_curves(task: str) -> dict[tuple[str, int, str], np.ndarray]:
    """The same for the horizon ablation: cumulative successes."""
    return _curves('horizon_ablation_curves.csv.gz', task)


def success_rates(task: str) -> dict[tuple[str, int, str], float]:
    """(agent, horizon, Q's data) -> share of 100 test episodes (Table 2); {} for other tasks."""
    with open(_HERE / 'table2_test_success.csv', newline='') as file:
        return {
            (row['agent'], int(row['horizon']), row['q_data']): float(row['success_rate'])
            for row in csv.DictReader(file)
            if row['task'] == task
        }


def dm_control_returns(task: str) -> dict[str, dict[int, list[float]]]:
    """Method -> environment steps -> returns of its seeds, of 'cartpole-swingup'; {} for others."""
    found: dict[str, dict[int, list[float]]] = {}
    with gzip.open(_HERE / 'dm_control_returns.csv.gz', 'rt', newline='') as file:
        for row in csv.DictReader(file):
            if row['task'] == task:
                steps = found.setdefault(row['method'], {})
                steps.setdefault(int(row['environment_steps']), []).append(float(row['return']))
    return found


def demorl_curves(task: str) -> dict[str, list[tuple[float, float]]]:
    """'demorl', 'mopac', 'mbpo' -> environment steps (of a range the middle) and mean return."""
    found: dict[str, list[tuple[float, float]]] = {}
    with open(_HERE / 'demorl_curves.csv', newline='') as file:
        for row in csv.DictReader(file):
            if row['task'] == task:
                steps = 500.0 * (int(row['thousands_from']) + int(row['thousands_to']))
                found.setdefault(row['method'], []).append((steps, float(row['return'])))
    return found


def _curves(name: str, task: str) -> dict[tuple[str, int, str], np.ndarray]:
    curves: dict[tuple[str, int, str], list[float]] = {}
    with gzip.open(_HERE / name, 'rt', newline='') as file:
        for row in csv.DictReader(file):
            if row['task'] == task:
                key = row['agent'], int(row['horizon']), row['planner_model']
                curves.setdefault(key, []).append(float(row['value']))
    return {key: np.array(values) for key, values in curves.items()}
