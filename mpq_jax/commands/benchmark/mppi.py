"""Planner throughput: mpq benchmark mppi [--json=...]; mpq benchmark (--suite): all of it, in one.

    model_steps/s = states x samples x iterations x (H - 1) x physics steps a control step
                    / median wall time

for one iteration, of a warmed, ahead-of-time compiled plan, blocked on, beside references in the
same run.
"""

import dataclasses
import json
import os
import resource
from pathlib import Path
from typing import Any

import jax
from absl import flags
from rich import box
from rich.console import Console
from rich.table import Table

import mpq_jax
from mpq_jax.base.compilation import CompiledFunction
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import Reporter, make_console, per_second
from mpq_jax.base.validation import ConfigError, check_at_least, check_choice
from mpq_jax.benchmarks import suite_run
from mpq_jax.benchmarks.contenders import (
    BARE,
    PHYSICS,
    Cell,
    bare_call,
    plan_call,
    planner_simulator,
    reference_calls,
)
from mpq_jax.benchmarks.measure import take_turns, write_csv
from mpq_jax.benchmarks.suite import WORKS
from mpq_jax.commands import command_line
from mpq_jax.figures import plots
from mpq_jax.runs.run_directory import manifest
from mpq_jax.tasks import load_task
from mpq_jax.training import memory

FLAGS = flags.FLAGS
flags.DEFINE_list('tasks', None, "tasks; default 'pendulum', of the suite all")
flags.DEFINE_list('backends', None, "planner backends; default 'mjx', on a CPU 'mujoco' as well")
flags.DEFINE_list('num_samples', ['24', '256', '1024', '4096'], 'N')
flags.DEFINE_list('horizons', ['8', '32'], 'H')
flags.DEFINE_list('num_states', ['1', '64'], 'plans made at once')
flags.DEFINE_list('agents', ['mppi', 'mpq'], 'mppi, mpq')
flags.DEFINE_list('reference', None, "none, mujoco, roofline, peers; on a CPU 'mujoco,roofline'")
flags.DEFINE_integer('sample_devices', 0, "that share a plan's samples; 0: where that pays")
flags.DEFINE_integer('repeats', 20, 'timed repeats, 20 at least')
flags.DEFINE_integer('max_model_steps', 1_000_000, 'larger plans are left out, and said')
flags.DEFINE_list('latency_horizons', ['1', '4', '8', '16', '32'], 'H of the latency table')
flags.DEFINE_string('json', None, 'where to write the result; .csv and .png go beside it')
flags.DEFINE_bool('suite', False, 'every task, backend and kind of work; takes the flags below')
flags.DEFINE_list('works', list(WORKS), 'of the suite: ' + ', '.join(WORKS))
flags.DEFINE_string('out', 'runs/benchmark', "where the suite's table, JSON and figure go")
flags.DEFINE_integer('part', 0, 'of the suite, from 1, each of less than ten minutes; 0: all')
flags.DEFINE_bool('all_backends', False, 'MJX too where a CPU takes minutes to compile')
flags.DEFINE_enum('list', None, ['cpu', 'gpu'], 'only print the parts and cases of a device')


def main() -> None:
    console = make_console()
    if FLAGS.suite:
        suite_run.run(_options(), console)
        return
    FLAGS['tasks'].value = FLAGS.tasks or ['pendulum']
    cells, left_out = _cells()
    backends, wanted = _backends_and_references()
    console.print(__doc__.split('\n\n', 1)[1].rstrip(), markup=False)
    rows: list[dict[str, Any]] = []
    with Reporter('benchmark', len(cells), 'sizes', console) as reporter:
        busy = 0.0
        for i, cell in enumerate(cells):
            rows += _measure(cell, backends, wanted, reporter)
            busy += sum(row['median_s'] * FLAGS.repeats for row in rows if row['cell'] == str(cell))
            best = max(r['model_steps_per_s'] or 0 for r in rows if r['cell'] == str(cell))
            reporter.advance(i + 1, f'best {per_second(best)}', busy)
            _write(rows, [], left_out)  # a stop loses nothing
        latency = []
        for task in FLAGS.tasks:
            latency += _latency(task, backends[0], reporter)
            _write(rows, latency, left_out)
    for cell in left_out:
        console.print(f'left out (over --max_model_steps): {cell}', markup=False)
    _print(rows, console)
    _print_latency(latency, backends[0], console)
    if FLAGS.json:
        path = Path(FLAGS.json)
        plots.throughput(rows, path.with_suffix('.png'))
        console.print(f'{path}, and beside it .csv and .png', markup=False)


def _options() -> suite_run.Options:
    for work in FLAGS.works:
        check_choice('works', work, WORKS)
    for backend in FLAGS.backends or []:
        check_choice('backends', backend, tuple(PHYSICS))
    return suite_run.Options(
        Path(FLAGS.out), FLAGS.part, FLAGS.tasks, FLAGS.backends, FLAGS.all_backends, FLAGS.works,
        FLAGS.list,
    )  # fmt: skip


def _cells() -> tuple[list[Cell], list[Cell]]:
    """The sizes to measure and those over the limit; all input is checked here."""
    check_at_least('repeats', FLAGS.repeats, 20)
    for agent in FLAGS.agents:
        check_choice('agents', agent, ('mppi', 'mpq'))
    cells: list[Cell] = []
    left_out: list[Cell] = []
    for task in FLAGS.tasks:
        load_task(task)
        for states in command_line.whole_numbers('num_states', FLAGS, 1):
            for horizon in command_line.whole_numbers('horizons', FLAGS, 2):
                for samples in command_line.whole_numbers('num_samples', FLAGS, 1):
                    cell = Cell(task, samples, horizon, states)
                    fits = cell.model_steps(1) <= FLAGS.max_model_steps
                    (cells if fits else left_out).append(cell)
    if not cells:
        smallest = min(cell.model_steps(1) for cell in left_out)
        raise ConfigError('max_model_steps', FLAGS.max_model_steps, f'at least {smallest}')
    return cells, left_out


def _backends_and_references() -> tuple[list[str], list[str]]:
    on_cpu = jax.default_backend() == 'cpu'
    backends = FLAGS.backends or (['mjx', 'mujoco'] if on_cpu else ['mjx'])
    wanted = FLAGS.reference or (['mujoco', 'roofline'] if on_cpu else ['roofline'])
    for backend in backends:
        check_choice('--backends', backend, tuple(PHYSICS))
    for reference in wanted:
        check_choice('--reference', reference, ('none', 'mujoco', 'roofline', 'peers'))
    return backends, wanted


def _measure(cell: Cell, backends: list[str], wanted: list[str], reporter: Reporter):
    """One row a contender."""
    calls: dict[str, Any] = {}
    compiled: dict[str, CompiledFunction] = {}
    task = load_task(cell.task)
    has_equations = task.equations is not None
    names = [*backends, *(['equations'] if has_equations and 'equations' not in backends else [])]
    for backend in names:
        for agent in FLAGS.agents:
            name = f'{agent} {backend}'
            reporter.compiling(f'{name} {cell}')
            asked = FLAGS.sample_devices
            fields = {'execution.sample_devices': asked} if asked else {}
            calls[name], compiled[name] = plan_call(cell, agent, backend, fields)
    reporter.compiling(f'{BARE} {cell}')
    calls[BARE], compiled[BARE] = bare_call(cell, backends[0])
    calls |= reference_calls(cell, task, wanted, compiled)
    timings = take_turns(calls, FLAGS.repeats, reporter.working)
    steps_per_control = planner_simulator(cell.task, backends[0]).steps_per_control
    steps = cell.model_steps(steps_per_control)
    return [
        {
            'cell': str(cell),
            **dataclasses.asdict(cell),
            'contender': name,
            'median_s': timing.median,
            'p10_s': timing.percentile(10),
            'p90_s': timing.percentile(90),
            'model_steps_per_s': steps / timing.median,
            'plans_per_s': cell.num_states / timing.median,
            'compile_s': compiled[name].compile_seconds if name in compiled else None,
            'temporary_bytes': compiled[name].temporary_bytes if name in compiled else None,
        }
        for name, timing in timings.items()
    ]


def _latency(task: str, backend: str, reporter: Reporter) -> list[dict[str, Any]]:
    """Seconds of one plan of one state against H: the learned Q is what lets H be short."""
    rows = []
    samples = mpq_jax.preset(task, 'mpq').planner.num_samples
    for horizon in command_line.whole_numbers('latency_horizons', FLAGS, 1):
        cell = Cell(task, samples, horizon, 1)
        reporter.compiling(f'mpq {backend} {cell}, for its latency')
        call, _ = plan_call(cell, 'mpq', backend)
        timings = take_turns({'plan': call}, max(FLAGS.repeats, 200), reporter.working)
        p50, p99 = timings['plan'].percentile(50), timings['plan'].percentile(99)
        rows.append({'task': task, 'horizon': horizon, 'p50_s': p50, 'p99_s': p99})
    return rows


def _print_latency(rows: list[dict[str, Any]], backend: str, console: Console) -> None:
    for task in FLAGS.tasks:
        table = Table(title=f'{task}: latency of one plan, {backend}, samples of the preset')
        for heading in ('H', 'p50 ms', 'p99 ms'):
            table.add_column(heading, justify='right')
        for row in rows:
            if row['task'] == task:
                times = (f'{1e3 * row[key]:.2f}' for key in ('p50_s', 'p99_s'))
                table.add_row(str(row['horizon']), *times)
        console.print(table)


def _print(rows: list[dict[str, Any]], console: Console) -> None:
    for task in FLAGS.tasks:
        table = Table(title=f'{task}: model steps/s', box=box.SIMPLE)
        headings = 'states', 'H', 'N', 'contender', 'steps/s', 'p10, median, p90 ms', 'plans/s'
        for heading in (*headings, 'compile s'):
            left = heading == 'contender'
            table.add_column(heading, justify='left' if left else 'right', overflow='fold')
        for row in rows:
            if row['task'] == task:
                compiling = '' if row['compile_s'] is None else f'{row["compile_s"]:.1f}'
                table.add_row(
                    str(row['num_states']), str(row['horizon']), str(row['num_samples']),
                    row['contender'], per_second(row['model_steps_per_s']),
                    '  '.join(f'{1e3 * row[key]:.2f}' for key in ('p10_s', 'median_s', 'p90_s')),
                    f'{row["plans_per_s"]:.0f}', compiling,
                )  # fmt: skip
        console.print(table)


def _write(rows, latency, left_out: list[Cell]) -> None:
    """JSON with everything so far, and the rows as CSV."""
    if FLAGS.json is None:
        return
    path = Path(FLAGS.json)
    path.parent.mkdir(parents=True, exist_ok=True)
    record = {
        'definition': ' '.join(__doc__.split('\n\n')[1].split()),
        'manifest': manifest() | {'xla_flags': os.environ.get('XLA_FLAGS', '')},
        'available_memory_gib': round(memory.available_bytes() / 2**30, 1),
        'peak_host_memory_mib': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        'repeats': FLAGS.repeats,
        'physics': {t: dataclasses.asdict(mpq_jax.preset(t).planner_physics) for t in FLAGS.tasks},
        'speed_limit': "the pendulum's limit is applied by every planner, not by mujoco.rollout",
        'rows': rows,
        'latency': latency,
        'left_out': [str(cell) for cell in left_out],
    }
    write_atomically(path, json.dumps(record, indent=1) + '\n')
    write_csv(rows, path.with_suffix('.csv'))


if __name__ == '__main__':
    command_line.run(main, cores_as_devices=False)
