"""What a gradient step of SAC takes: python -m experiments.sac_speed --reference=PYTHON.

HalfCheetah's sizes (observation 17, action 6), minibatches of 256, networks of 2 x 256. Contenders
take turns, so that all see the same machine: one seed, eight seeds at once, the step's matrix
products alone (NumPy's), and Stable-baselines3 in a process of its own, whose interpreter is
PYTHON (an environment with the extra `sb3`). Writes speed.json and speed.md into --run_dir.
"""

import functools
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from mpq_jax.base.files import write_atomically
from mpq_jax.base.machine import usable_cores
from mpq_jax.base.progress import make_console
from mpq_jax.commands import command_line
from mpq_jax.config import SACConfig
from mpq_jax.learning import replay_buffer
from mpq_jax.learning.policies import sac
from mpq_jax.learning.policies.networks import make_actor_critic
from mpq_jax.learning.policies.sac_step import Experience, fresh
from mpq_jax.runs.run_directory import manifest
from mpq_jax.training.layout import BatchCompiler, Hooks, layout_of

FLAGS = flags.FLAGS
NO, NU, STORED, SEEDS = 17, 6, 20_000, 8
CONFIG = SACConfig()
Turn = Callable[[int], tuple[float, float]]  # updates -> seconds of the clock, of the processors


def ours(seeds: int) -> Turn:
    """So many members of a batch, as a run learns: one program, over the devices it has."""
    networks = make_actor_critic(CONFIG, NU)
    zeros: Any = Experience(
        jnp.zeros(NO), jnp.zeros(NU), jnp.zeros(()), jnp.zeros(NO), jnp.array(False)
    )

    def init(key):
        trained = fresh(CONFIG, networks, zeros.observation, zeros.action, key)
        buffer = replay_buffer.empty(zeros, STORED)
        rows = jax.tree.map(
            lambda x: x if x.dtype == bool else jax.random.normal(key, x.shape), buffer.storage
        )
        return trained, buffer._replace(storage=rows, size=jnp.int32(STORED))

    trained, buffers = jax.jit(jax.vmap(init))(jax.random.split(jax.random.key(0), seeds))
    keys = jax.random.split(jax.random.key(1), seeds)
    numbers = jax.tree.map(lambda x: jnp.full(seeds, x, jnp.float32), CONFIG)

    def learn(numbers, trained, buffer, count, key):
        draw = functools.partial(sac.minibatch, CONFIG.batch_size)
        return sac.gradient_steps(networks, draw, numbers, trained, buffer, count, key)[0]

    layout = layout_of(seeds)
    compiler = BatchCompiler(layout, Hooks())
    states = [layout.placed(trained)]
    buffers, keys, numbers = layout.placed((buffers, keys, numbers))

    def turn(updates: int) -> tuple[float, float]:
        args = numbers, states[0], buffers, layout.placed(jnp.full(seeds, updates, jnp.int32)), keys
        clock, processor = time.perf_counter(), time.process_time()
        learned = compiler.call('learn', jax.vmap(learn), *args, donate=(1,))
        states[0] = jax.block_until_ready(learned)
        return time.perf_counter() - clock, time.process_time() - processor

    return turn


def products() -> list[tuple[int, int, int, int]]:
    """(how many, m, k, n) of an update: products of [m, k] and [k, n] with these sizes."""
    batch, width = CONFIG.batch_size, CONFIG.hidden_width

    def forward(inputs, outputs, nets):
        return [(nets, batch, inputs, width), (nets, batch, width, width),
                (nets, batch, width, outputs)]  # fmt: skip

    def to_weights(inputs, outputs, nets):
        return [(nets, inputs, batch, width), (nets, width, batch, width),
                (nets, width, batch, outputs)]  # fmt: skip

    def to_hidden(outputs, nets):
        return [(nets, batch, outputs, width), (nets, batch, width, width)]

    seen = NO + NU
    return [
        *forward(NO, 2 * NU, 2), *to_weights(NO, 2 * NU, 1), *to_hidden(2 * NU, 1),
        *forward(seen, 1, 6), *to_weights(seen, 1, 2), *to_hidden(1, 4),
        (2, batch, width, NU),  # the slope of both Qs in the action
    ]  # fmt: skip


def floor() -> Turn:
    """The matrix products of an update and nothing else, by NumPy."""
    rng = np.random.default_rng(0)
    arrays: list[tuple[Any, ...]] = [
        (count, *(rng.standard_normal(s).astype(np.float32) for s in ((m, k), (k, n), (m, n))))
        for count, m, k, n in products()
    ]

    def turn(updates: int) -> tuple[float, float]:
        clock, processor = time.perf_counter(), time.process_time()
        for _ in range(updates):
            for count, left, right, out in arrays:
                for _ in range(count):
                    np.matmul(left, right, out=out)
        return time.perf_counter() - clock, time.process_time() - processor

    return turn


def reference(python: str) -> tuple[Turn, str]:
    """The other library's process, and its versions."""
    script = Path(__file__).with_name('sac_speed_reference.py')
    process = subprocess.Popen(
        [python, str(script), str(usable_cores())], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    send, answer = process.stdin, process.stdout
    versions = answer.readline().strip()

    def turn(updates: int) -> tuple[float, float]:
        send.write(f'{updates}\n')
        send.flush()
        clock, processor = map(float, answer.readline().split())
        return clock, processor

    return turn, versions


def measure(contenders: dict[str, Turn], rounds: int, updates: int) -> dict[str, np.ndarray]:
    """Milliseconds an update `[rounds, 2]` (clock, processors) of each, taking turns."""
    for turn in contenders.values():
        turn(3)  # compiles, warms up
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, turn in contenders.items():
            turns[name].append(turn(updates))
    return {name: 1e3 * np.array(found) / updates for name, found in turns.items()}


def page(times: dict[str, np.ndarray]) -> str:
    """Medians over the turns and the least of them; ratios are of one seed of ours to the others.

    Those of the medians are taken within a round, so that all of it saw the same machine.
    """
    one = times['one seed']
    lines = [
        '| contender | ms an update and seed, median | least | processors, median '
        '| one seed of ours / it, median | of the least | of processors |',
        '|---|---|---|---|---|---|---|',
    ]
    for name, found in times.items():
        found = found / (SEEDS if name.startswith('eight') else 1)
        middle, least = np.median(found, axis=0), found.min(axis=0)
        ratio, of_least = np.median(one / found, axis=0), one.min(axis=0) / least
        cells = middle[0], least[0], middle[1], ratio[0], of_least[0], ratio[1]
        lines.append(f'| {name} | {" | ".join(f"{x:.2f}" for x in cells)} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    console, path = make_console(), Path(FLAGS.run_dir or 'runs/sac')
    contenders = {
        'one seed': ours(1),
        'eight seeds at once': ours(SEEDS),
        'matrix products': floor(),
    }
    versions = ''
    if FLAGS.reference:
        contenders['Stable-baselines3'], versions = reference(FLAGS.reference)
    load = [os.getloadavg()]
    times = measure(contenders, FLAGS.rounds, FLAGS.updates)
    load.append(os.getloadavg())
    content = {
        'made_by': manifest(), 'stable_baselines3, torch': versions, 'cores': usable_cores(),
        'devices': jax.local_device_count(),
        'load before and after': load, 'updates a turn': FLAGS.updates,
        'milliseconds (clock, processors)': {k: v.round(4).tolist() for k, v in times.items()},
    }  # fmt: skip
    path.mkdir(parents=True, exist_ok=True)
    write_atomically(path / 'speed.json', json.dumps(content, indent=1) + '\n')
    write_atomically(path / 'speed.md', page(times))
    console.print(page(times), markup=False)


if __name__ == '__main__':
    command_line.define_run_directory_flag()
    flags.DEFINE_string('reference', '', 'interpreter that has stable_baselines3; none if empty')
    flags.DEFINE_integer('rounds', 15, 'turns of each')
    flags.DEFINE_integer('updates', 50, 'in a turn')
    command_line.run(main)
