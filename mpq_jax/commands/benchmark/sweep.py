"""What a batch saves: mpq benchmark sweep [--json=out.json].

A cell of seeds x temperatures against one member alone, and against itself on several devices
(on a CPU: forced host devices, each count in a process of its own, in turns).
"""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags
from rich.table import Table

import mpq_jax
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import check_at_least
from mpq_jax.benchmarks.measure import take_turns
from mpq_jax.commands import command_line
from mpq_jax.runs.run_directory import manifest
from mpq_jax.training.assembly import make_programs
from mpq_jax.training.programs import Programs

FLAGS = flags.FLAGS
command_line.define_run_flags(num_seeds=False)
flags.DEFINE_integer('num_seeds', 8, 'seeds in the cell')
flags.DEFINE_list('temperatures', ['0.05', '0.15', '0.5'], 'values that share the cell')
flags.DEFINE_list('devices', ['1', '2'], 'forced host devices to compare; CPU only')
flags.DEFINE_integer('repeats', 7, 'timed calls of each contender')
flags.DEFINE_integer('rounds', 3, 'processes for each number of devices')
flags.DEFINE_string('json', None, 'where to write the result')
flags.DEFINE_bool('only_cell', False, 'measure the cell on the devices that are there, as JSON')


def main() -> None:
    for name in ('num_seeds', 'repeats', 'rounds'):
        check_at_least(name, getattr(FLAGS, name), 1)
    if FLAGS.only_cell:
        print(json.dumps(_seconds({'cell': _programs(alone=False)})['cell']))
        return
    console = make_console()
    members = FLAGS.num_seeds * len(FLAGS.temperatures)
    record: dict[str, Any] = {'manifest': manifest(), 'members': members}
    record['batch'] = _alone_and_together()
    if jax.default_backend() == 'cpu':
        record['devices'] = _by_devices(console)
    _print(record, console)
    if FLAGS.json:
        write_atomically(Path(FLAGS.json), json.dumps(record, indent=1) + '\n')


def _programs(alone: bool) -> Programs:
    variants = tuple({'planner.temperature': float(text)} for text in FLAGS.temperatures)
    seeds = {'num_seeds': 1 if alone else FLAGS.num_seeds}
    config = mpq_jax.set_fields(command_line.config_from_flags(FLAGS), seeds)
    return make_programs(mpq_jax.Batch(config, () if alone else variants).validate())


def _alone_and_together() -> dict[str, Any]:
    """Medians of an episode and a round, and the share of one member alone that each one takes."""
    contenders = {'alone': _programs(alone=True), 'cell': _programs(alone=False)}
    seconds = _seconds(contenders)
    members = len(contenders['cell'].members)
    shares = {
        part: seconds['cell'][part] / members / seconds['alone'][part] for part in seconds['cell']
    }
    compiled = contenders['cell'].compiler.compiled.values()
    return {
        'seconds': seconds,
        'share_of_alone': shares,
        'compilations_of_the_cell': sorted(p.name for p in compiled),
        'compile_seconds_of_the_cell': sum(p.compile_seconds for p in compiled),
    }


def _seconds(contenders: dict[str, Programs]) -> dict[str, dict[str, float]]:
    """Contender -> 'episode', 'round' and 'both' -> median seconds."""
    calls: dict[str, Any] = {}
    for name, programs in contenders.items():
        state = programs.initial_state()
        for episode in range(3):
            state, _ = programs.collect(state, episode)
        collect = functools.partial(_on_a_copy, programs.collect, state)
        learn = functools.partial(_on_a_copy, programs.learn, state)
        calls |= {f'{name} episode': collect, f'{name} round': learn}
    timings = take_turns(calls, FLAGS.repeats)
    seconds: dict[str, dict[str, float]] = {}
    for label, timing in timings.items():
        name, part = label.split()
        seconds.setdefault(name, {})[part] = timing.median
    for parts in seconds.values():
        parts['both'] = parts['episode'] + parts['round']
    return seconds


def _on_a_copy(program, state):
    """Programs take over their state's buffers."""
    return program(jax.tree.map(lambda x: jax.device_put(jnp.copy(x), x.sharding), state), 3)


def _by_devices(console) -> dict[str, dict[str, float]]:
    counts = command_line.whole_numbers('devices', FLAGS, 1)
    results: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    for i in range(FLAGS.rounds):
        for count in counts:
            console.print(f'round {i + 1} of {FLAGS.rounds}: {count} devices')
            results[count].append(_in_a_process(count))
    return {
        str(count): {part: float(np.median([r[part] for r in each])) for part in each[0]}
        for count, each in results.items()
    }


def _in_a_process(devices: int) -> dict[str, float]:
    forced = f'--xla_force_host_platform_device_count={devices}'
    environment = os.environ | {'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} {forced}'}
    arguments = [a for a in sys.argv[1:] if not a.startswith('--json')]
    child = subprocess.run(
        [sys.executable, '-m', 'mpq_jax.commands.benchmark.sweep', *arguments, '--only_cell'],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if child.returncode:
        raise mpq_jax.RunError(f'{devices} devices: {child.stderr.strip()[-500:]}')
    return json.loads(child.stdout.strip().splitlines()[-1])


def _print(record: dict[str, Any], console) -> None:
    batch = record['batch']
    table = Table(title=f'{record["members"]} members in one batch against one alone')
    for heading in ('part', 'alone [s]', 'batch [s]', 'a member, of one alone'):
        table.add_column(heading)
    for part, share in batch['share_of_alone'].items():
        alone, cell = (batch['seconds'][name][part] for name in ('alone', 'cell'))
        table.add_row(part, f'{alone:.3f}', f'{cell:.3f}', f'{share:.2f}')
    console.print(table)
    console.print(f'the cell compiled {", ".join(batch["compilations_of_the_cell"])}, once each')
    first = None
    for count, parts in record.get('devices', {}).items():
        first = first or parts
        ratios = ', '.join(f'{part} {first[part] / s:.2f}' for part, s in parts.items())
        console.print(f'{count} devices: throughput of {ratios} times the first')


if __name__ == '__main__':
    command_line.run(main)
