"""Test episodes of a trained run, on starts that training never saw."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mpq_jax.base.files import write_atomically
from mpq_jax.base.interrupts import Abandoned, Stopped, StopRequest, stop_on_signals
from mpq_jax.base.progress import Reporter
from mpq_jax.base.validation import check_at_least
from mpq_jax.config import Config
from mpq_jax.dynamics import State
from mpq_jax.environments.episode import Summary
from mpq_jax.environments.real_system import RealSystem
from mpq_jax.evaluation.figures import describe
from mpq_jax.evaluation.loading import load_run
from mpq_jax.figures import plots
from mpq_jax.figures.video import check_video, installed_backend, write_video
from mpq_jax.learning.algorithm import MemberState
from mpq_jax.planning.agent import QParams
from mpq_jax.runs.run_directory import RunDirectory
from mpq_jax.suite.presets import no_control
from mpq_jax.tasks import Task, keep_tasks
from mpq_jax.training.assembly import make_programs
from mpq_jax.training.programs import Programs
from mpq_jax.training.stopwatch import Stopwatch


@keep_tasks()
def evaluate(
    run_dir: str | Path,
    episodes: int = 20,
    *,
    parameters: str = 'last',
    task: str | None = None,
    real_systems: Sequence[RealSystem] = (),
    video: str | Path | None = None,
    beside_no_control: bool = True,
    write: bool = True,
    console: Console | None = None,
) -> dict[str, Any]:
    """Runs test episodes for every seed and writes `evaluation.json` and `episode.png`.

    Args:
      run_dir: a run that was trained.
      episodes: a seed; episode i of a seed always starts in the same state.
      parameters: the 'last', or the 'best' by validation (the last where there was none).
      task: the run's `module:factory`, where its task is not a registered one; not needed where
        this process has loaded it already.
      real_systems: one a member, where the run's real_system is 'own'.
      video: a .gif or .mp4 to draw the first seed's first episode into.
      beside_no_control: whether to play the same episodes without control as well, where the task
        has a success; not needed beside a run that does not control.
      write: whether the files are written.
      console: where progress is shown.

    Returns:
      What `evaluation.json` holds. Where the task has a success, `no_control` holds the figures of
      the very same episodes without any control, and `not_by_itself` the successes in those that
      it fails; a real system of one's own is not driven for that.

    Raises:
      RunError: the run names a task of somebody's own, and `task` does not.
      ConfigError: `video` cannot be drawn here; it says what to install.
      Stopped: Ctrl-C or SIGTERM came; nothing was written.
    """
    check_at_least('episodes', episodes, 1)
    programs, saved, problems = load_run(run_dir, real_systems, task)
    played = programs.real.task
    if video is not None:
        check_video(video, played)
    run = RunDirectory(run_dir)
    with (
        Reporter('evaluate', episodes, console=console) as reporter,
        _stopping(programs) as stop,
        contextlib.closing(programs.collector),
    ):
        for problem in problems:
            reporter.say(problem)
        hooks = programs.compiler.hooks
        hooks.on_compile, hooks.on_failure = reporter.compiling, reporter.say
        hooks.on_step = stop.checked(reporter.working, 0.0)
        q_params = programs.parameters(saved.state, parameters)
        summary, recording = _play(programs, saved.state, q_params, episodes, reporter, stop)
        idle = None
        if beside_no_control:
            idle = _play_without_control(programs.config, played, episodes, reporter, stop)
        result = describe(programs.batch, saved, parameters, summary, idle)
        if write:
            write_atomically(run.evaluation_file, json.dumps(result, indent=2) + '\n')
            plots.episode_figure(played, recording, run.path / 'episode.png')
        if video is not None:
            draw = _own_renderer(programs, recording.state, reporter)
            write_video(video, played, recording.state, draw=draw)
    return result


@contextlib.contextmanager
def _stopping(programs: Programs) -> Iterator[StopRequest]:
    """Signals give up the episodes under way."""
    with stop_on_signals() as stop:
        stop.before_exit = programs.collector.close
        try:
            yield stop
        except Abandoned:
            name = stop.signal_name
            raise Stopped(f'stopped by {name}: no evaluation was written', name) from None


def _play(
    programs: Programs, state: MemberState, q_params: QParams, episodes: int,
    reporter: Reporter, stop: StopRequest,
):  # fmt: skip
    """Summaries `[B, E]`, and the first episode's transitions."""
    size = programs.episodes_at_once(episodes)
    stopwatch, blocks, recording = Stopwatch(programs), [], None
    for first in range(0, episodes, size):
        numbers = first + np.arange(size)  # the last block may run over; its surplus is dropped
        (block, recorded), _ = stopwatch.run(programs.play, 'test', state, q_params, numbers)
        blocks.append(jax.device_get(block))
        recording = recorded if recording is None else recording
        done = min(first + size, episodes)
        figure = f'return {np.mean([b.episode_return for b in blocks]):7.0f}'
        reporter.advance(done, figure, stopwatch.seconds)
        if done < episodes:
            stop.check()
    joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, :episodes], *blocks)
    return joined, recording


def _own_renderer(
    programs: Programs, states: State, reporter: Reporter
) -> Callable[[State], np.ndarray] | None:
    """That of the environment that is driven, where it has one that works here."""
    draw = programs.collector.renderer()
    if draw is None:
        return None
    try:
        # Libraries that try GLFW first, without a display, leave no GL that works.
        if not {'MUJOCO_GL', 'DISPLAY'} & os.environ.keys():
            raise RuntimeError(f'set MUJOCO_GL={installed_backend()}')
        draw(jax.tree.map(lambda x: x[0], states))
    except Exception as error:  # of whatever library it is
        reporter.say(f"drawn from the task's MJCF, not by the environment: {error}")
        return None
    return draw


def _play_without_control(
    config: Config, task: Task, episodes: int, reporter: Reporter, stop: StopRequest
) -> Summary | None:
    """The same episodes of every seed `[S, E]` with zero actions, to hold successes against."""
    if task.success is None or config.agent == 'none' or config.real_system == 'own':
        return None
    programs = make_programs(no_control(config))
    hooks = programs.compiler.hooks
    hooks.on_compile, hooks.on_step = reporter.compiling, stop.checked(reporter.working, 0.0)
    with contextlib.closing(programs.collector):
        summary, _ = _play(programs, programs.initial_state(), (), episodes, reporter, stop)
    return summary
