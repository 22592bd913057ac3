"""Stable-baselines3's updates, on request: the other contender of `experiments.sac_speed`.

Reads numbers of updates from its input, a line each, and answers with seconds of the clock and of
the processors. Needs the extra `sb3` and nothing else of this repository.
"""

import sys
import time

import gymnasium
import numpy as np
import stable_baselines3
import torch
from gymnasium.spaces import Box
from stable_baselines3.common.logger import Logger

OBSERVATION, ACTION, STORED, BATCH = 17, 6, 20_000, 256  # HalfCheetah's sizes


class Sizes(gymnasium.Env):
    """An environment that has sizes and is never stepped."""

    observation_space = Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
    action_space = Box(-1.0, 1.0, (ACTION,), np.float32)


def make_learner() -> stable_baselines3.SAC:
    """With a full buffer of random transitions."""
    learner = stable_baselines3.SAC('MlpPolicy', Sizes(), device='cpu', buffer_size=STORED, seed=0)
    learner.set_logger(Logger(None, []))
    learner._current_progress_remaining = 1.0  # set by `learn`, which is not called
    rng, buffer = np.random.default_rng(0), learner.replay_buffer
    for name in ('observations', 'next_observations', 'rewards'):
        array = getattr(buffer, name)
        array[:] = rng.standard_normal(array.shape)
    buffer.actions[:] = rng.uniform(-1.0, 1.0, buffer.actions.shape)
    buffer.full = True
    return learner


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]))
    learner = make_learner()
    print(stable_baselines3.__version__, torch.__version__, flush=True)
    for line in sys.stdin:
        clock, processor = time.perf_counter(), time.process_time()
        learner.train(gradient_steps=int(line), batch_size=BATCH)
        print(time.perf_counter() - clock, time.process_time() - processor, flush=True)


if __name__ == '__main__':
    main()
