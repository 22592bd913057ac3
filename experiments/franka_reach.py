"""A Franka arm of meshes follows a moving ball: --task=experiments.franka_reach:make_task.

The model is that of Gymnasium-Robotics (extra `fetch`), with its fingers still; nothing is copied.
"""

from pathlib import Path

import gymnasium_robotics
import jax
import jax.numpy as jnp
import mujoco

import mpq_jax

FILES = Path(gymnasium_robotics.__file__).parent / 'envs/assets/kitchen_franka/franka_assets'
PARTS = ('assets.xml', 'basic_scene.xml', 'actuator.xml')
SECONDS = 0.04  # of a control step


def plant():
    includes = ''.join(f'<include file="{FILES / part}"/>' for part in PARTS)
    arm = f'<worldbody><include file="{FILES / "chain.xml"}"/></worldbody>'
    spec = mujoco.MjSpec.from_string(f'<mujoco>{includes}{arm}</mujoco>')
    for mesh in spec.meshes:
        mesh.file = str(FILES / 'meshes' / Path(mesh.file).relative_to(FILES))
    for name in ('r_gripper_finger_joint', 'l_gripper_finger_joint'):
        spec.delete(spec.actuator(name))
    axes = [0.64, 0.768, 0.0, -0.213, 0.177, 0.961]
    spec.worldbody.add_camera(name='near', pos=[1.5, -1.0, 0.9], xyaxes=axes)
    spec.add_key(name='home', qpos=[0, 0.2, 0, -2.2, 0, 0.8, 0.8, 0.02, 0.02])
    return spec


def ball(time):  # a circle in front of the robot, in 4 s
    angle = 2 * jnp.pi * time / 4.0
    return jnp.array([0.5, 0.0, 0.5]) + 0.2 * jnp.stack([0 * angle, jnp.sin(angle), jnp.cos(angle)])


def away(reading, time):
    return jnp.linalg.norm(reading.sensors['hand'] - ball(time))


def make_task():
    return mpq_jax.Task(
        name='franka_reach',
        mjcf=plant,
        views={'hand': mpq_jax.View('body', 'panda0_leftfinger')},
        control=lambda qpos, qvel, action: qpos[..., :7] + 0.2 * action,  # targets of the servos
        reset=mpq_jax.starts_near(
            plant, 'home', position_noise=0.1, variables=lambda key: 4.0 * jax.random.uniform(key)
        ),
        advance=lambda reading, time, action: time + SECONDS,
        observe=lambda reading, time: jnp.concatenate(
            [reading.qpos[:7], reading.qvel[:7], reading.sensors['hand'], ball(time)]
        ),
        cost=lambda reading, time, action: 10 * away(reading, time) + 0.05 * jnp.sum(action**2),
        success=lambda reading, time: away(reading, time) < 0.03,
        goal=ball,
        episode_steps=100,
        control_timestep=SECONDS,
        parameters=(mpq_jax.RandomizedParameter('mass_scale', 1.0, 0.8, 1.5),),
        set_parameters=set_parameters,
        settings={
            'planner.horizon': 8,
            'planner.noise': 'knots',
            'planner.noise_variance': 0.5,
            'planner.temperature': 0.02,
            'learner.num_states': 64,
            'learner.epochs': 80,
        },
    )


def set_parameters(model, values):
    model.body_mass[:] *= values['mass_scale']
    model.body_inertia[:] *= values['mass_scale']
