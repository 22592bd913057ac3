"""What is to be done: a task's functions, its plant, the names of tasks, and what is checked.

The built-in ones are in `mpq_jax.suite`; `load_task('module:factory')` takes one of your own.
"""

from mpq_jax.tasks.model_source import View, menagerie
from mpq_jax.tasks.registry import TASKS, keep_tasks, load_task, register_task
from mpq_jax.tasks.starts import starts_near
from mpq_jax.tasks.task import RandomizedParameter, Reading, Start, Task, Variables
from mpq_jax.tasks.terminal_costs import alive_bonus, cost_to_go

__all__ = [
    'TASKS',
    'RandomizedParameter',
    'Reading',
    'Start',
    'Task',
    'Variables',
    'View',
    'alive_bonus',
    'cost_to_go',
    'keep_tasks',
    'load_task',
    'menagerie',
    'register_task',
    'starts_near',
]
