"""A tiny training run that kills itself at a moment of its own choice.

As: python -m tests.killed_run RUN_DIR SEED; without a kill for SEED = -1.
"""

import functools
import os
import random
import signal
import sys
import threading
from pathlib import Path

import mpq_jax
from mpq_jax.figures import plots
from mpq_jax.runs import checkpoint, metrics
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.training.layout import BatchCompiler
from mpq_jax.training.programs import Programs
from tests.conftest import tiny_lq_config

# What is under way -> where it is entered, and how long (s) it may last.
MOMENTS = {
    'compiling': (BatchCompiler, 'call', 2.0),
    'collecting': (Programs, 'collect', 0.01),
    'learning': (Programs, 'learn', 0.01),
    'writing a checkpoint': (checkpoint.Checkpointer, 'save', 0.08),
    'making a name stand': (os, 'replace', 0.0005),
    'writing rows': (metrics.MetricsWriter, 'write', 0.001),
    'writing a figure': (plots, 'episode_figure', 0.5),
}


def config():
    often = {'training.validation_episodes': 1, 'training.checkpoint_interval': 1}
    return tiny_lq_config(episodes=8, **often)


def plan_kill(seed: int) -> str:
    """Patches one function so that the process dies a while after one of its calls began."""
    rng = random.Random(seed)
    name = rng.choice(list(MOMENTS))
    owner, function, longest = MOMENTS[name]
    calls_before = rng.randrange(1 if name in ('writing a figure', 'compiling') else 8)
    delay = rng.uniform(0, longest)
    original, lock = getattr(owner, function), threading.Lock()
    left = [calls_before]

    @functools.wraps(original)
    def wrapped(*args, **kwargs):
        with lock:
            due, left[0] = left[0] == 0, left[0] - 1
        if due:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return original(*args, **kwargs)

    setattr(owner, function, wrapped)
    return f'{name}, call {calls_before + 1}, after {1e3 * delay:.1f} ms'


def main(path: Path, seed: int) -> None:
    if seed >= 0:
        print(f'to be killed: {plan_kill(seed)}', flush=True)
    mpq_jax.train(config(), path, resume=RunDirectory(path).config_file.exists())


if __name__ == '__main__':
    main(Path(sys.argv[1]), int(sys.argv[2]))
