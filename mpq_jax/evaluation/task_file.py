"""The text of a task to start from, for somebody's robot."""

import os
import re
from pathlib import Path

import mujoco

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
            'planner.noise': 'knots',  # of which there are 4: smooth, for motors
            'planner.noise_variance': 0.1,  # of actions in [-1, 1]
            'planner.temperature': {temperature:g},  # a tenth of how much plans' costs differ
            'learner.num_states': 192,  # in a round: about what an episode's plans take
            'learner.epochs': 80,
            'episodes': 20,
{native}        }},
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

_NATIVE = """            'real_system': 'mujoco',  # MJX takes a CPU minutes to compile this robot
"""


def text_of(
    model: mujoco.MjModel, source: Path, out: Path, temperature: float, native: bool
) -> str:
    """The file's text.

    Args:
      model: the robot's.
      source: its file.
      out: where the text is going to be.
      temperature: the planner's.
      native: whether the real system is to be native MuJoCo.
    """
    plant = _plant(model)
    views = _views(model)
    steps = max(1, round(_CONTROL_SECONDS / model.opt.timestep))
    place = os.path.relpath(source.absolute(), out.absolute().parent)
    return _TEMPLATE.format(
        name=identifier(source.stem),
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
        native=_NATIVE if native else '',
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


def identifier(text: str) -> str:
    """The text as a name in Python."""
    name = re.sub(r'\W', '_', text)
    return name if name.isidentifier() else f'robot_{name}'
