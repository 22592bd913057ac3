"""A file to start from, for a robot of your own: mpq new-task my_robot.xml.

It writes my_robot_task.py, whose make_task() runs as it is: the robot keeps the pose of its first
keyframe (or its initial one) while its mass is uncertain. Change cost, observe and reset.
"""

import sys
from pathlib import Path

from absl import flags

import mpq_jax
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.commands import command_line
from mpq_jax.config import PhysicsConfig, PlannerConfig
from mpq_jax.dynamics import compiles_slowly
from mpq_jax.evaluation.task_file import identifier, text_of
from mpq_jax.evaluation.task_look import look, proposed_temperature
from mpq_jax.tasks import load_task
from mpq_jax.tasks.model_source import make_model

FLAGS = flags.FLAGS
flags.DEFINE_string('model', None, 'the robot: an MJCF or a URDF; may be given without --model=')
flags.DEFINE_string('out', None, 'the file to write; default: the model with _task.py at its end')


def main() -> None:
    if FLAGS.model is None:
        raise ConfigError('--model', None, 'a file: mpq new-task my_robot.xml')
    source = Path(FLAGS.model)
    if not source.is_file():
        raise ConfigError('--model', str(source), 'an MJCF or URDF file that exists')
    out = Path(FLAGS.out or f'{identifier(source.stem)}_task.py')
    if out.suffix != '.py' or not out.stem.isidentifier():
        raise ConfigError('--out', str(out), 'a .py file with the name of a Python module')
    if out.exists():
        raise ConfigError('--out', str(out), 'a file that does not exist yet')
    model = make_model(source, {}, {}, str(source))
    write_atomically(out, text_of(model, source, out, 0.1, False))
    try:
        temperature, native = _measured(out)
    except (TaskError, ConfigError):
        out.unlink()
        raise
    write_atomically(out, text_of(model, source, out, temperature, native))
    task = f'{out.stem}:make_task'
    make_console().print(
        f'{out}: edit cost, observe and reset. Then\n  mpq check --task={task}\n'
        f'  mpq train --agent=mppi --task={task}\n  mpq train --task={task}',
        markup=False,
    )


def _measured(file: Path) -> tuple[float, bool]:
    """The temperature that suits the task in a file, and whether MJX takes minutes to compile it.

    Raises:
      TaskError, ConfigError: it cannot be used.
    """
    sys.path.insert(0, str(file.absolute().parent))
    name = f'{file.stem}:make_task'
    planner = mpq_jax.preset(name, 'mppi').planner
    assert isinstance(planner, PlannerConfig)
    task = load_task(name)
    found = look(task, planner)
    sys.modules.pop(file.stem, None)  # its file is about to change
    return proposed_temperature(found), compiles_slowly(task, PhysicsConfig('mjx'))


if __name__ == '__main__':
    if len(sys.argv) > 1 and not sys.argv[1].startswith('-'):
        sys.argv[1] = f'--model={sys.argv[1]}'
    command_line.run(main)
