"""A file to start from, for a robot of your own: mpq new-task my_robot.xml.

It writes my_robot_task.py, whose make_task() runs as it is: the robot keeps the pose of its first
keyframe (or its initial one) while its mass is uncertain. Change cost, observe and reset.
"""

import os
import re
import sys
from pathlib import Path

import mujoco
from absl import flags

import mpq_jax
from mpq_jax.base.files import write_atomically
from mpq_jax.base.progress import make_console
from mpq_jax.base.validation import ConfigError, TaskError
from mpq_jax.commands import command_line
from mpq_jax.config import PlannerConfig
from mpq_jax.evaluation.task_look import look, proposed_temperature
from mpq_jax.tasks import load_task
from mpq_jax.tasks.model_source import make_model

FLAGS = flags.FLAGS
flags.DEFINE_string('model', None, 'the robot: an MJCF or a URDF; may be given without --model=')
flags.DEFINE_string('out', None, 'the file to write; default: the model with _task.py at its end')

_CONTROL_SECONDS = 0.02  # of a control step, about

_TEMPLATE = '''"""{name}: to start from. `mpq check --task={module}:make_task` looks at it."""

from pathlib import Path

import jax
import jax.numpy as jnp
{imports}
import mpq_jax

MODEL = {model}
{plant}
reset = mpq_jax.starts_near({source}, {keyframe}, position_noise=0.05, velocity_noise=0.05)
REST = mpq_jax.starts_near({source}, {keyframe})(jax.random.key(0)).qpos  # the pose to keep


def observe(reading, variables):
    """What Q sees: reading has qpos, qvel, and sensors and views by name."""
    return jnp.concatenate([reading.qpos, reading.qvel{observed}])


def cost(reading, variables, action):
    """Of a state and the action [-1, 1] taken there; the smaller, the better."""
    away = jnp.sum((reading.qpos - REST) ** 2)
    return away + 0.01 * jnp.sum(reading.qvel**2) + 0.01 * jnp.sum(action**2)


def set_parameters(model, values):
    """Puts what the planner does not know into a mujoco.MjModel."""
    model.body_mass[:] *= values['mass_scale']
    model.body_inertia[:] *= values['mass_scale']


def make_task():
    return mpq_jax.Task(
        name='{name}',
        mjcf={source},
        views={views},
        episode_steps=200,
        control_timestep={control_timestep:g},  # seconds
        reset=reset,
        observe=observe,
        cost=cost,
        parameters=(mpq_jax.RandomizedParameter('mass_scale', 1.0, 0.8, 1.3),),
        set_parameters=set_parameters,
        settings={{
            'planner.horizon': 16,
            'planner.num_samples': 48,
            'planner.noise_variance': 0.3,  # of actions in [-1, 1]
            'planner.temperature': {temperature:g},  # a tenth of how much plans' costs differ
            'episodes': 20,
        }},
    )
'''

_PLANT = '''

def plant():
    """The model, with what it lacks: {lacks}."""
    spec = mujoco.MjSpec.from_file(MODEL)
{edits}
    return spec


'''
_MOTORS = """    for joint in spec.joints:
        if joint.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            motor = spec.add_actuator(name=joint.name, target=joint.name)
            motor.trntype = mujoco.mjtTrn.mjTRN_JOINT
            motor.ctrlrange, motor.ctrllimited = [-1.0, 1.0], True  # N m, or N: yours"""
_RANGES = """    for actuator in spec.actuators:
        if not any(actuator.ctrlrange):
            actuator.ctrlrange = [-1.0, 1.0]  # yours
        actuator.ctrllimited = True"""


def main() -> None:
    if FLAGS.model is None:
        raise ConfigError('--model', None, 'a file: mpq new-task my_robot.xml')
    source = Path(FLAGS.model)
    if not source.is_file():
        raise ConfigError('--model', str(source), 'an MJCF or URDF file that exists')
    out = Path(FLAGS.out or f'{_identifier(source.stem)}_task.py')
    if out.suffix != '.py' or not out.stem.isidentifier():
        raise ConfigError('--out', str(out), 'a .py file with the name of a Python module')
    if out.exists():
        raise ConfigError('--out', str(out), 'a file that does not exist yet')
    model = make_model(source, {}, {}, str(source))
    write_atomically(out, text_of(model, source, out, 0.1))
    try:
        temperature = _measured(out)
    except (TaskError, ConfigError):
        out.unlink()
        raise
    write_atomically(out, text_of(model, source, out, temperature))
    task = f'{out.stem}:make_task'
    make_console().print(
        f'{out}: edit cost, observe and reset. Then\n  mpq check --task={task}\n'
        f'  mpq train --agent=mppi --task={task}\n  mpq train --task={task}',
        markup=False,
    )


def _measured(file: Path) -> float:
    """The temperature that suits the task in a file. Raises TaskError, ConfigError."""
    sys.path.insert(0, str(file.absolute().parent))
    name = f'{file.stem}:make_task'
    planner = mpq_jax.preset(name, 'mppi').planner
    assert isinstance(planner, PlannerConfig)
    return proposed_temperature(look(load_task(name), planner))


def text_of(model: mujoco.MjModel, source: Path, out: Path, temperature: float) -> str:
    """The file's text; `source` is the model's file, `out` where the text is going to be."""
    plant = _plant(model)
    views = _views(model)
    steps = max(1, round(_CONTROL_SECONDS / model.opt.timestep))
    place = os.path.relpath(source.absolute(), out.absolute().parent)
    return _TEMPLATE.format(
        name=_identifier(source.stem),
        module=out.stem,
        imports='import mujoco\n' if plant else '',
        model=f'str(Path(__file__).parent / {place!r})',
        plant=plant,
        source='plant' if plant else 'MODEL',
        keyframe=0 if model.nkey else None,
        views=views or '{}',
        observed=", reading.sensors['seen']" if views else '',
        control_timestep=steps * model.opt.timestep,
        temperature=temperature,
    )


def _plant(model: mujoco.MjModel) -> str:
    if model.nu == 0:
        return _PLANT.format(lacks='motors on its joints', edits=_MOTORS)
    if not model.actuator_ctrllimited.all():
        return _PLANT.format(lacks='control ranges of its actuators', edits=_RANGES)
    return ''


def _views(model: mujoco.MjModel) -> str:
    """The last site with a name, or else the last body: often a hand."""
    for kind, count in (('site', model.nsite), ('body', model.nbody)):
        names = [getattr(model, kind)(i).name for i in range(count)]
        names = [name for name in names if name and name != 'world']
        if names:
            return f"{{'seen': mpq_jax.View({kind!r}, {names[-1]!r}, 'position')}}"
    return ''


def _identifier(text: str) -> str:
    name = re.sub(r'\W', '_', text)
    return name if name.isidentifier() else f'robot_{name}'


if __name__ == '__main__':
    if len(sys.argv) > 1 and not sys.argv[1].startswith('-'):
        sys.argv[1] = f'--model={sys.argv[1]}'
    command_line.run(main)
