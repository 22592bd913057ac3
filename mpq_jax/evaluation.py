"""Test episodes of a trained run, on starts that training never saw."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

from mpq_jax import plots
from mpq_jax.assembly import make_programs
from mpq_jax.checkpoint import Checkpoint, Checkpointer
from mpq_jax.config import Config
from mpq_jax.episode import SUCCESSES, Summary
from mpq_jax.programs import Programs
from mpq_jax.progress import Reporter
from mpq_jax.real_system import RealSystem
from mpq_jax.run_directory import RunDirectory, write_atomically
from mpq_jax.statistics import INTERVAL, confidence_interval
from mpq_jax.stopwatch import Stopwatch
from mpq_jax.validation import RunError, check_at_least
from mpq_jax.video import check_video, write_video


def load_run(
    run_dir: str | Path, real_systems: Sequence[RealSystem] = ()
) -> tuple[Programs, Checkpoint, list[str]]:
    """A run's programs and latest readable checkpoint, and messages about unreadable ones.

    Raises:
      RunError: no run or no readable checkpoint there.
      ConfigError: the config does not match the checkpoint.
    """
    run = RunDirectory(run_dir)
    config = run.read_config()
    programs = make_programs(config, real_systems)
    if not run.checkpoints.is_dir():
        raise RunError(f'run_dir = {str(run.path)!r} holds no checkpoint: train it first')
    checkpointer = Checkpointer(run.checkpoints)
    try:
        saved, problems = checkpointer.restore(programs.state_shapes(), config)
    finally:
        checkpointer.close()
    if saved is None:
        raise RunError(f'run_dir = {str(run.path)!r} holds no checkpoint: train it first')
    return programs, saved._replace(state=programs.layout.placed(saved.state)), problems


def evaluate(
    run_dir: str | Path,
    episodes: int = 20,
    *,
    parameters: str = 'last',
    real_systems: Sequence[RealSystem] = (),
    video: str | Path | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Runs test episodes for every seed and writes `evaluation.json` and `episode.png`.

    Args:
      run_dir: a run that was trained.
      episodes: a seed; episode i of a seed always starts in the same state.
      parameters: the 'last', or the 'best' by validation (the last where there was none).
      real_systems: one a member, where the run's real_system is 'own'.
      video: a .gif or .mp4 to draw the first seed's first episode into.
      console: where progress is shown.

    Returns:
      What `evaluation.json` holds.

    Raises:
      ConfigError: `video` cannot be drawn here; it says what to install.
    """
    check_at_least('episodes', episodes, 1)
    programs, saved, problems = load_run(run_dir, real_systems)
    task = programs.real.task
    if video is not None:
        check_video(video, task)
    run = RunDirectory(run_dir)
    with Reporter('evaluate', episodes, console) as reporter:
        for problem in problems:
            reporter.say(problem)
        programs.on_compile, programs.on_step = reporter.compiling, reporter.working
        summary, recording = _play(programs, saved, parameters, episodes, reporter)
    result = _describe(programs, saved, parameters, summary)
    write_atomically(run.evaluation_file, json.dumps(result, indent=2) + '\n')
    plots.episode_figure(task, recording, run.path / 'episode.png')
    if video is not None:
        write_video(video, task, recording.state)
    return result


def _play(programs: Programs, saved: Checkpoint, parameters: str, episodes: int, reporter):
    """Summaries `[B, E]`, and the first episode's transitions."""
    size = programs.episodes_at_once(episodes)
    q_params = programs.parameters(saved.state, parameters)
    stopwatch, blocks, recording = Stopwatch(programs), [], None
    for first in range(0, episodes, size):
        numbers = first + np.arange(size)  # the last block may run over; its surplus is dropped
        (block, recorded), _ = stopwatch.run(programs.play, 'test', saved.state, q_params, numbers)
        blocks.append(jax.device_get(block))
        recording = recorded if recording is None else recording
        done = min(first + size, episodes)
        figure = f'return {np.mean([b.episode_return for b in blocks]):7.0f}'
        reporter.advance(done, figure, stopwatch.seconds)
    joined = jax.tree.map(lambda *x: np.concatenate(x, axis=1)[:, :episodes], *blocks)
    return joined, recording


def _describe(
    programs: Programs, saved: Checkpoint, parameters: str, summary: Summary
) -> dict[str, Any]:
    """Of a run with variants, `variants` holds the figures of each."""
    config = programs.config
    variants = [
        _figures(programs, jax.tree.map(lambda x, v=v: x[v], _by_variant(config, summary)))
        for v in range(max(1, len(config.variants)))
    ]
    if config.variants:
        each = zip(config.variants, variants, strict=True)
        figures = {'variants': [{'fields': fields} | one for fields, one in each]}
    else:
        figures = variants[0]
    return {
        'task': config.task,
        'agent': config.agent,
        'horizon': config.planner.horizon,
        'planner_model': config.planner_model,
        'parameters': _used(parameters, saved) if config.learns else None,
        'trained_episodes': saved.episode,
        'starts': config.starts,
        'test_episodes_per_seed': summary.episode_return.shape[1],
        'env_steps': int(summary.env_steps.sum()),
        'interval': INTERVAL,
    } | figures


def _used(parameters: str, saved: Checkpoint) -> str:
    """Which parameters played: without a validation there are no best ones."""
    validated = np.isfinite(saved.state.best_returns).any()
    return parameters if validated else 'last'


def _by_variant(config: Config, summary: Summary) -> Summary:
    """`[B, E]` -> `[V, S, E]`."""
    return jax.tree.map(lambda x: x.reshape(-1, config.num_seeds, *x.shape[1:]), summary)


def _figures(programs: Programs, summary: Summary) -> dict[str, Any]:
    """Of one variant: `[S, E]`."""
    seeds = programs.config.seeds
    judged = programs.real.task.success is not None

    def figure_of(name: str) -> dict[str, Any]:
        return _figure(seeds, np.asarray(getattr(summary, name), float), name in SUCCESSES)

    return {
        'return': figure_of('episode_return'),
        **{name: figure_of(name) if judged else None for name in SUCCESSES},
        'nonfinite_steps': int(summary.nonfinite_steps.sum()),
    }


def _figure(seeds: tuple[int, ...], values: np.ndarray, is_rate: bool) -> dict[str, Any]:
    """Pooled mean with its interval, and every seed's own episodes."""
    means = values.mean(axis=1)
    low, high = confidence_interval(means, values.shape[1] if is_rate else None)
    return {
        'mean': float(means.mean()),
        'low': None if np.isnan(low) else float(low),
        'high': None if np.isnan(high) else float(high),
        'per_seed': {
            str(seed): {'mean': float(mean), 'episodes': [round(float(v), 4) for v in row]}
            for seed, mean, row in zip(seeds, means, values, strict=True)
        },
    }
