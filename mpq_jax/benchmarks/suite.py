"""What the suite measures: every task, backend and kind of work, at sizes that suit the device."""

import dataclasses
import importlib.util
from collections.abc import Sequence

import mpq_jax
from mpq_jax.base.validation import ConfigError
from mpq_jax.benchmarks import small_models
from mpq_jax.benchmarks.contenders import PHYSICS, Cell, physics_of
from mpq_jax.dynamics import compiles_slowly, is_free
from mpq_jax.dynamics.mujoco_model import load_model
from mpq_jax.tasks import keep_tasks, load_task
from mpq_jax.tasks.registry import BUILT_IN, OF_THE_PAPER

SMALL = tuple(f'{small_models.__name__}:{name}' for name in small_models.NAMES)
# 'plan': one iteration; 'targets': a learning round's; 'acting': a control step of the MPQ agent;
# 'episode', 'round': of a batch of seeds; 'numerics': one control step against native MuJoCo.
WORKS = ('plan', 'targets', 'acting', 'episode', 'round', 'numerics')
TARGET_STATES = 64  # whose targets are made at once on a CPU; a GPU makes those of a whole round
SEEDS = 256
STARTS = 64  # of the numerics
MOST_SECONDS = 580.0  # a part is estimated to take
MEASURING_SECONDS = 12.0  # a case; `take_turns` ends then, after `FEWEST` rounds
MOST_NATIVE_STEPS = 1_000_000  # a call of a reference on the CPU
_REPEATS = {'acting': 200, 'episode': 5, 'round': 5}


@dataclasses.dataclass(frozen=True)
class Case:
    """One kind of work at one size; all its contenders take turns."""

    work: str
    cell: Cell
    backends: tuple[str, ...]
    references: tuple[str, ...] = ()  # 'bare', 'mujoco', 'roofline'
    left_out: tuple[tuple[str, str], ...] = ()  # backends, and why

    def __str__(self) -> str:
        return f'{self.work} of {self.cell}'

    @property
    def repeats(self) -> int:
        return _REPEATS.get(self.work, 20)


@keep_tasks()
def make_cases(
    on_gpu: bool,
    tasks: Sequence[str] | None = None,
    backends: Sequence[str] | None = None,
    everything: bool = False,
) -> list[Case]:
    """Every case for a device.

    Args:
      on_gpu: the sizes of a GPU, or those of a CPU.
      tasks: None: the paper's four and the small models.
      backends: of `PHYSICS`, where a task has them; None: what makes sense on the device.
      everything: MJX too where a CPU compiles for minutes.

    Raises:
      ConfigError, TaskError: a task or backend that there is none of.
    """
    cases = []
    for task in tasks or [*OF_THE_PAPER, *SMALL]:
        chosen, left_out = _backends(task, on_gpu, backends, everything)
        for work, samples, horizon, states in _sizes(task, on_gpu):
            if chosen:
                cell = Cell(task, samples, horizon, states)
                references = _references(task, work, on_gpu)
                cases.append(Case(work, cell, tuple(chosen), references, tuple(left_out)))
    if not cases:
        raise ConfigError('backends', backends, f'one of {", ".join(PHYSICS)} that the tasks have')
    return cases


def _backends(
    task: str, on_gpu: bool, wanted: Sequence[str] | None, everything: bool
) -> tuple[list[str], list[tuple[str, str]]]:
    """What a task is measured on, and what is left out, with the reason."""
    made = load_task(task)
    left_out: dict[str, str] = {}
    names = ['equations'] if made.equations is not None else []
    if made.mjcf is not None:
        names = ['mjx', *names]
        free = is_free(made, physics_of(task, 'mjx'))
        names += ['mjx_arrays'] if free else []
        if not on_gpu:
            names.append('mujoco')
        elif not free:
            names.append('warp')
    if wanted is not None:
        names = [name for name in names if name in wanted]
    may_be_slow = 'mjx' in names and not (on_gpu or everything)
    if may_be_slow and compiles_slowly(made, physics_of(task, 'mjx')):
        left_out['mjx'] = 'compiles for minutes'
    if 'warp' in names and importlib.util.find_spec('warp') is None:
        left_out['warp'] = 'not installed'
    return [name for name in names if name not in left_out], list(left_out.items())


def _sizes(task: str, on_gpu: bool) -> list[tuple[str, int, int, int]]:
    """(work, N, H, states or seeds) of a task."""
    config = mpq_jax.preset(task)
    samples, horizon = config.planner.num_samples, config.planner.horizon
    slow = task in BUILT_IN and not is_free(load_task(task), physics_of(task, 'mjx'))
    sizes = [('plan', samples, horizon, 1), *_larger_plans(task, on_gpu, slow)]
    if task not in SMALL:
        states = config.learner.num_states if on_gpu else TARGET_STATES
        sizes += [('targets', samples, horizon, states), ('acting', samples, horizon, 1)]
    if on_gpu and task not in SMALL:
        sizes += [('plan', samples, horizon, SEEDS)]
        sizes += [] if slow else [(work, samples, horizon, SEEDS) for work in ('episode', 'round')]
    return [*sizes, ('numerics', 1, 2, STARTS)]


def _larger_plans(task: str, on_gpu: bool, slow: bool) -> list[tuple[str, int, int, int]]:
    """Plans larger than the preset's: many samples, and on a GPU a sweep over H."""
    if on_gpu and task in SMALL:
        sizes = [(1024, 32), (65536, 32)]
    elif on_gpu and slow:
        sizes = [(65536, 10), *((4096, horizon) for horizon in (4, 10, 32))]
    elif on_gpu:
        sizes = [(samples, 32) for samples in (1024, 4096, 16384, 65536)]
        sizes += [(4096, horizon) for horizon in (2, 4, 8, 16, 64)]
    elif task == SMALL[-1]:
        sizes = [(512, 10)]  # what the arm's step was measured at before
    else:
        sizes = [] if slow else [(1024, 32)]
    return [('plan', samples, horizon, 1) for samples, horizon in sizes]


def _references(task: str, work: str, on_gpu: bool) -> tuple[str, ...]:
    """What takes turns with a kind of work; on a GPU every program may compile for a minute."""
    if work in ('episode', 'round', 'numerics'):
        return ()
    if work != 'plan':
        return ('mujoco',)
    bare = () if on_gpu else ('bare',)
    return (*bare, 'mujoco', *(('roofline',) if task == 'pendulum' else ()))


def estimated_seconds(case: Case, on_gpu: bool) -> float:
    """Wall seconds of a case, from above: what its contenders compile, and the measuring.

    The figures for a CPU were measured on two cores; those for a GPU are guesses.
    """
    task, physics = load_task(case.cell.task), physics_of(case.cell.task, 'mjx')
    free = task.mjcf is None or is_free(task, physics)
    if on_gpu:
        mjx = 6.0 if free else 45.0
    elif compiles_slowly(task, physics):
        mjx = 200.0
    else:
        mjx = 10.0 if not free or task.mjcf is None else 2.0 + 1.5 * load_model(task, physics).nv
    compiling = dict.fromkeys(PHYSICS, mjx) | {'mujoco': 3.0, 'equations': 1.5, 'warp': 8.0}
    seconds = sum(compiling[backend] for backend in case.backends)
    if 'bare' in case.references:
        seconds += compiling[case.backends[0]]
    measuring = {'numerics': 0.0, 'plan': 1.0 if _is_brief(case) else MEASURING_SECONDS}
    return seconds + measuring.get(case.work, MEASURING_SECONDS)


def _is_brief(case: Case) -> bool:
    """Whether a call is milliseconds on any backend."""
    return case.cell.model_steps(1) < 500


@keep_tasks()
def make_parts(cases: Sequence[Case], on_gpu: bool) -> list[list[Case]]:
    """The cases in their order, cut so that each part is estimated to take `MOST_SECONDS` at most.

    A case that is longer by itself is a part by itself.
    """
    parts: list[list[Case]] = []
    seconds = 0.0
    for case in cases:
        more = estimated_seconds(case, on_gpu)
        if not parts or seconds + more > MOST_SECONDS:
            parts.append([])
            seconds = 0.0
        parts[-1].append(case)
        seconds += more
    return parts
