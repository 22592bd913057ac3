"""Figures of a run, drawn without a display; matplotlib is loaded when the first is drawn."""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mpq_jax.base.files import write_atomically
from mpq_jax.figures.seed_curves import caption, curve_styles, draw_curve, moving_mean
from mpq_jax.learning.replay_buffer import Transition
from mpq_jax.tasks import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curve(
    curves: Mapping[str, np.ndarray],
    path: Path,
    title: str,
    published: Mapping[str, np.ndarray],
    measure: str = 'return',
) -> None:
    """Returns or successes against episodes: windowed, and accumulated beside published curves.

    Args:
      curves: label -> returns or successes `[S, E]`; the first is the run itself.
      path: the PNG to write.
      title: above the figure.
      published: label of a curve -> the paper's, by episode from its first; may be empty.
      measure: 'return' (accumulated: its mean since the first episode, as published) or
        'success' (accumulated: their number).
    """
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    episodes = max(table.shape[1] for table in curves.values())
    window = 1 if measure == 'return' else max(1, episodes // 10)
    for (label, table), style in zip(curves.items(), curve_styles(list(curves)), strict=True):
        counts = np.arange(1, table.shape[1] + 1)
        since_first = np.cumsum(table, axis=1) / counts
        if measure == 'return':
            draw_curve(left, counts, table, label, style)
            draw_curve(right, counts, since_first, label, style)
        else:
            smooth = moving_mean(table, window)
            draw_curve(left, counts[window - 1 :], smooth, label, style, episodes=window)
            draw_curve(right, counts, since_first, label, style, episodes=counts, as_counts=True)
        if label in published:
            shown = published[label][:episodes]
            x, name = np.arange(1, len(shown) + 1), f'paper: {label} (one run)'
            right.plot(x, shown, '--', color=style['color'], lw=1, label=name)
    if measure == 'return':
        left.set(title='return of each episode', ylabel='return')
        right.set(title='mean return since the first episode')
    else:
        left.set(title=f'success rate, moving mean of {window} episodes', ylim=(-0.02, 1.02))
        right.set(title='successes since the first episode')
    for axes in (left, right):
        axes.set_xlabel('episode')
        axes.grid(alpha=0.3)
    figure.legend(
        *right.get_legend_handles_labels(), fontsize=8, loc='outside lower center', ncols=3
    )
    figure.suptitle(f'{title}: {caption([len(table) for table in curves.values()])}')
    save(figure, path)


def episode_figure(task: Task, transitions: Transition, path: Path) -> None:
    """The task's signals, or its positions and actions, and the cost of one episode over time."""
    signals = task.signals or {
        'qpos': lambda transitions: transitions.state.qpos,
        'action': lambda transitions: transitions.action,
    }
    panels = {**signals, 'cost': lambda transitions: transitions.cost}
    figure = new_figure(8, 1.9 * len(panels))
    rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    seconds = np.arange(transitions.cost.shape[0]) * task.control_timestep
    for axes, (label, signal) in zip(rows, panels.items(), strict=True):
        axes.plot(seconds, np.asarray(signal(transitions)), lw=1.3)
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    rows[-1].set_xlabel('time [s]')
    figure.suptitle(f'{task.name}: one episode, return {-float(np.sum(transitions.cost)):.0f}')
    save(figure, path)


def try_episode_figure(
    task: Task, transitions: Transition, path: Path, say: Callable[[str], None]
) -> None:
    """The same where the disk takes it; elsewhere it is said."""
    try:
        episode_figure(task, transitions, path)
    except OSError as error:
        say(f'{path.name} cannot be written, going on without it: {error}')


def new_figure(width: float, height: float) -> 'Figure':
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout='constrained')


def save(figure: 'Figure', path: Path) -> None:
    """Writes a PNG of 128 colours, a third of the size of the full one; whole, or not at all."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, dpi=110)
    Image.open(full).convert('RGB').quantize(128).save(small, 'PNG', optimize=True)
    write_atomically(path, small.getvalue())


def throughput(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Model steps/s against samples, log-log: a panel for each task, horizon and batch of states.

    Args:
      rows: with `task`, `horizon`, `num_states`, `num_samples`, `contender`,
        `model_steps_per_s`.
      path: the PNG to write.
    """
    panels = list(dict.fromkeys((r['task'], r['horizon'], r['num_states']) for r in rows))
    contenders = list(dict.fromkeys(row['contender'] for row in rows))
    columns = min(len(panels), 4)
    lines = -(-len(panels) // columns)
    figure = new_figure(3.6 * columns + 1, 3.2 * lines + 0.8)
    axes_of = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes, panel in zip(axes_of, panels, strict=False):
        for i, contender in enumerate(contenders):
            points = sorted(
                (row['num_samples'], row['model_steps_per_s'])
                for row in rows
                if row['contender'] == contender
                and (row['task'], row['horizon'], row['num_states']) == panel
            )
            if points:
                axes.loglog(*zip(*points, strict=True), 'o-', ms=3, color=f'C{i}', label=contender)
        axes.set(title='{}, H={}, states={}'.format(*panel), xlabel='samples')
        axes.grid(alpha=0.3, which='both')
    axes_of[0].set_ylabel('model steps/s')
    handles: dict[str, Any] = {}
    for axes in axes_of:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(
        handles=list(handles.values()),
        labels=list(handles),
        loc='outside lower center',
        ncols=4,
        fontsize=8,
    )
    save(figure, path)


def rates(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Model steps/s on a logarithmic axis: a line for each case, a colour for each contender.

    Args:
      rows: with `work`, `task`, `num_samples`, `horizon`, `num_states`, `contender`,
        `model_steps_per_s`.
      path: the PNG to write.
    """

    def case(row) -> str:
        return '{work}: {task} N={num_samples} H={horizon} x{num_states}'.format_map(row)

    cases = list(dict.fromkeys(map(case, rows)))
    figure = new_figure(9, 1.6 + 0.26 * len(cases))
    axes = figure.subplots()
    for i, contender in enumerate(dict.fromkeys(row['contender'] for row in rows)):
        mine = [row for row in rows if row['contender'] == contender]
        places = [len(cases) - cases.index(case(row)) for row in mine]
        speeds = [row['model_steps_per_s'] for row in mine]
        marker = 'osD^v<>P'[i % 8]
        axes.plot(speeds, places, marker, color=f'C{i}', ms=5, alpha=0.8, label=contender)
    axes.set(xscale='log', xlabel='physics steps/s')
    axes.set_yticks(range(len(cases), 0, -1), cases, fontsize=8)
    axes.grid(alpha=0.3, which='both')
    figure.legend(loc='outside lower center', ncols=4, fontsize=8)
    save(figure, path)
