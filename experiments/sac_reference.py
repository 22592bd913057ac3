"""Stable-baselines3's SAC, for `experiments.policies_sac`: python experiments/sac_reference.py.

Needs the extra `sb3` and nothing else of this repository. Each run is a row of a JSON file, written
when it ends, so the same command goes on where it was stopped.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import gymnasium
import stable_baselines3
import torch
from stable_baselines3.common.monitor import Monitor

# Of each environment: control steps, learning rate (RL Zoo's for the pendulum, the library's own).
TASKS = {'Pendulum-v1': (20_000, 1e-3), 'InvertedPendulum-v5': (10_000, 3e-4)}
SCHEDULES: dict[str, dict] = {
    # As many updates after an episode as it had steps; or one after each step, the default.
    'episode': {'train_freq': (1, 'episode'), 'gradient_steps': -1},
    'step': {'train_freq': 1, 'gradient_steps': 1},
}


def learn(task: str, schedule: str, seed: int) -> dict:
    """A run with the library's defaults beside those above: returns and ends of its episodes."""
    steps, learning_rate = TASKS[task]
    environment = Monitor(gymnasium.make(task))
    learner = stable_baselines3.SAC(
        'MlpPolicy', environment, learning_rate=learning_rate, seed=seed, device='cpu',
        **SCHEDULES[schedule],
    )  # fmt: skip
    began = time.perf_counter()
    learner.learn(steps)
    lengths = environment.get_episode_lengths()
    return {
        'task': task,
        'schedule': schedule,
        'seed': seed,
        'learning_rate': learning_rate,
        'returns': [round(float(x), 2) for x in environment.get_episode_rewards()],
        'steps': [sum(lengths[: i + 1]) for i in range(len(lengths))],
        'seconds': round(time.perf_counter() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--file', default='runs/sac/reference.json')
    parser.add_argument('--tasks', default=','.join(TASKS))
    parser.add_argument('--schedules', default=','.join(SCHEDULES))
    parser.add_argument('--seeds', default='0,1,2,3,4')
    parser.add_argument('--threads', type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    path = Path(given.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = json.loads(path.read_text())['rows'] if path.exists() else []
    done = {(row['task'], row['schedule'], row['seed']) for row in rows}
    wanted = [
        (task, schedule, int(seed))
        for schedule in given.schedules.split(',')
        for task in given.tasks.split(',')
        for seed in given.seeds.split(',')
    ]
    for one in wanted:
        if one not in done:
            rows.append(learn(*one))
            content = {'made_by': versions(given.threads), 'rows': rows}
            path.with_suffix('.part').write_text(json.dumps(content) + '\n')
            os.replace(path.with_suffix('.part'), path)
            print(one, rows[-1]['returns'][-3:], rows[-1]['seconds'], flush=True)


def versions(threads: int) -> dict:
    return {
        'command': 'python experiments/sac_reference.py',
        'stable_baselines3': stable_baselines3.__version__,
        'torch': torch.__version__,
        'gymnasium': gymnasium.__version__,
        'python': platform.python_version(),
        'threads': threads,
    }


if __name__ == '__main__':
    main()
