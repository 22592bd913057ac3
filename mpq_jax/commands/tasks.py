"""The tasks that can be trained on: mpq tasks [--task=module:factory]."""

import importlib

from absl import flags
from rich.table import Table

from mpq_jax.base.progress import make_console
from mpq_jax.base.trust import FAMILIES
from mpq_jax.base.validation import TaskError
from mpq_jax.commands import command_line
from mpq_jax.tasks import TASKS, Task, load_task

FLAGS = flags.FLAGS
flags.DEFINE_string('task', None, 'this one alone: a registered name, or module:factory')


def main() -> None:
    table = Table(title='tasks')
    for heading in ('task', 'episode', 'physics', 'unknown to the planner', 'success', 'presets'):
        table.add_column(heading)
    for name in [FLAGS.task] if FLAGS.task else TASKS:
        table.add_row(name, *_facts(load_task(name)))
    console = make_console()
    console.print(table)
    for family in () if FLAGS.task else FAMILIES:
        console.print(_of_family(family), markup=False)


def _of_family(family: str) -> str:
    """The names of somebody else's environments that are tasks as well."""
    module = importlib.import_module(f'mpq_jax.suite.{family}')
    try:
        return f'{family}: {", ".join(module.names())}'
    except TaskError:
        return f"{family}: pip install 'mpq_jax[{family}]'"


def _facts(task: Task) -> tuple[str, ...]:
    unknown = [f'{p.name} {p.low:g} to {p.high:g}, truly {p.true_value:g}' for p in task.parameters]
    return (
        f'{task.episode_steps} steps of {task.control_timestep:g} s',
        'MJCF' if task.mjcf is not None else 'equations',
        '\n'.join(unknown) or 'nothing',
        'yes' if task.success else 'no',
        ', '.join(('default', *task.presets, *task.agent_presets)),
    )


if __name__ == '__main__':
    command_line.run(main)
