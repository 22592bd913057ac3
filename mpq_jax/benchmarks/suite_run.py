"""Runs the suite: case after case, each row on disk as soon as it is known."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import Reporter, per_second
from mpq_jax.base.validation import check_between
from mpq_jax.benchmarks import suite, suite_page
from mpq_jax.benchmarks.contenders import NATIVE
from mpq_jax.benchmarks.measure import take_turns
from mpq_jax.benchmarks.numerics import difference_from_native
from mpq_jax.benchmarks.suite import Case
from mpq_jax.benchmarks.works import make_contenders
from mpq_jax.runs.run_directory import manifest

Row = dict[str, Any]


class Options(NamedTuple):
    """What is measured, and where it goes."""

    out: Path  # a folder
    part: int = 0  # from 1; 0: all of them
    tasks: Sequence[str] | None = None
    backends: Sequence[str] | None = None
    everything: bool = False
    works: Sequence[str] = suite.WORKS
    only_list: str | None = None  # the cases of a 'cpu' or a 'gpu', without measuring


def run(options: Options, console: Console) -> None:
    """Measures what is asked for and writes `benchmark.json`, `.png` and `.md` into the folder.

    Parts that were measured before stay in all three.

    Raises:
      ConfigError, TaskError: something there is none of; a folder that holds something else.
    """
    on_gpu = (options.only_list or jax.default_backend()) != 'cpu'
    cases = [
        case
        for case in suite.make_cases(on_gpu, options.tasks, options.backends, options.everything)
        if case.work in options.works
    ]
    parts = suite.make_parts(cases, on_gpu)
    check_between('part', options.part, 0, len(parts))
    chosen = cases if options.part == 0 else parts[options.part - 1]
    if options.only_list:
        _list(parts, on_gpu, console)
        return
    record = _Record(options, len(parts))
    with Reporter('benchmark', len(chosen), 'cases', console) as reporter:
        _measure_all(chosen, on_gpu, record, reporter)
    suite_page.show(record.rows, console)
    console.print(f'{record.path}, and beside it .md and .png', markup=False)


def _list(parts: list[list[Case]], on_gpu: bool, console: Console) -> None:
    for number, cases in enumerate(parts, 1):
        seconds = sum(suite.estimated_seconds(case, on_gpu) for case in cases)
        console.print(f'--part={number}: {len(cases)} cases, {seconds / 60:.1f} min', markup=False)
        for case in cases:
            left = ''.join(f'; {name} left out: {why}' for name, why in case.left_out)
            against = f' against {", ".join(case.references)}' if case.references else ''
            names = ', '.join(case.backends) + against
            console.print(f'  {case}: {names}{left}', markup=False)


def _measure_all(cases: list[Case], on_gpu: bool, record: '_Record', reporter: Reporter) -> None:
    expected = [suite.estimated_seconds(case, on_gpu) for case in cases]
    begun = time.perf_counter()
    for i, case in enumerate(cases):
        rows = measure(case, reporter)
        record.add(rows)
        seconds = time.perf_counter() - begun
        rates = [row['model_steps_per_s'] or 0.0 for row in rows]
        speed = f'best {per_second(max(rates))}' if max(rates) else ''
        left = seconds * sum(expected[i + 1 :]) / sum(expected[: i + 1])
        reporter.advance(i + 1, f'{case} {speed}', seconds, left)


def measure(case: Case, reporter: Reporter) -> list[Row]:
    """One row a contender, and one for each that was left out."""
    if case.work == 'numerics':
        return _numerics(case, reporter)
    contenders = make_contenders(case, reporter.compiling)
    timings = take_turns(
        contenders.calls, case.repeats, reporter.working, enough=suite.MEASURING_SECONDS
    )
    native = timings[NATIVE].median if NATIVE in timings else None
    rows = []
    for name, timing in timings.items():
        program = contenders.compiled.get(name)
        rows.append(
            _row(case, name)
            | {
                'repeats': len(timing.seconds),
                'model_steps': contenders.steps,
                'model_steps_per_s': contenders.steps / timing.median,
                'times_native': native / timing.median if native else None,
                'compile_s': program.compile_seconds if program else None,
                'temporary_bytes': program.temporary_bytes if program else None,
            }
            | {f'p{p}_s': timing.percentile(p) for p in (10, 50, 90, 99)}
        )
    return rows + [_row(case, name, left_out=why) for name, why in contenders.left_out]


def _numerics(case: Case, reporter: Reporter) -> list[Row]:
    rows = []
    for backend in case.backends:
        reporter.compiling(f'{backend} {case}')
        far = difference_from_native(case.cell.task, backend, case.cell.num_states)
        row = _row(case, f'mpq {backend}') | {'compile_s': far.program.compile_seconds}
        rows.append(row | {'difference_qpos': far.qpos, 'difference_qvel': far.qvel})
    return rows + [_row(case, name, left_out=why) for name, why in case.left_out]


def _row(case: Case, contender: str, left_out: str = '') -> Row:
    """A row without figures."""
    cell = case.cell
    figures = (
        'repeats', 'model_steps', 'model_steps_per_s', 'times_native', 'compile_s',
        'temporary_bytes', 'p10_s', 'p50_s', 'p90_s', 'p99_s', 'difference_qpos', 'difference_qvel',
    )  # fmt: skip
    name = contender if contender == NATIVE or not left_out else f'mpq {contender}'
    return {
        'work': case.work,
        'task': cell.task.rpartition(':')[2],
        'num_samples': cell.num_samples,
        'horizon': cell.horizon,
        'num_states': cell.num_states,
        'contender': name,
        'left_out': left_out,
        **dict.fromkeys(figures),
    }


class _Record:
    """`benchmark.json`, and page and figure beside it: what this part has, and what others had."""

    def __init__(self, options: Options, count: int):
        self.path = options.out / 'benchmark.json'
        self._begun = time.perf_counter()
        self._parts: dict[str, Any] = {}
        if options.part and self.path.exists():
            self._parts = json.loads(self.path.read_text())['parts']
        options.out.mkdir(parents=True, exist_ok=True)
        self._mine: dict[str, Any] = {
            'manifest': manifest() | {'xla_flags': os.environ.get('XLA_FLAGS', '')},
            'load_before': os.getloadavg()[0],
            'of': count,
        }
        self._parts[str(options.part)] = self._mine | {'rows': []}
        self._part = str(options.part)

    @property
    def rows(self) -> list[Row]:
        """Of every part."""
        return [row for _, part in sorted(self._parts.items()) for row in part['rows']]

    def add(self, rows: list[Row]) -> None:
        mine = self._parts[self._part]
        mine['rows'] += rows
        mine['seconds'] = time.perf_counter() - self._begun
        write_atomically(self.path, json.dumps({'parts': self._parts}, indent=1) + '\n')
        suite_page.write(self._parts, self.rows, self.path)
