"""Small models in which nothing touches, to measure physics on: written here, from primitives."""

import functools

import jax
import jax.numpy as jnp

from mpq_jax.tasks import Start, Task

_FREE = """<mujoco model="{name}">
  <option timestep="0.01" integrator="{integrator}">
    <flag contact="disable" constraint="disable" eulerdamp="disable"/>
  </option>
  <default><geom density="500"/><joint damping="0.05"/></default>
  <worldbody>{bodies}</worldbody>
  <actuator>{motors}</actuator>
</mujoco>"""


def _link(number: int, axis: str, rest: str, along: str = '0 0 0.3') -> str:
    return (
        f'<joint name="j{number}" type="hinge" axis="{axis}"/>'
        f'<geom type="capsule" fromto="0 0 0 {along}" size="0.03"/>{rest}'
    )


def _chain(axes: list[str], along: str = '0 0 0.3') -> str:
    """Links one on the other, each with a hinge at its foot."""
    inner = ''
    for number in reversed(range(len(axes))):
        place = '0 0 0' if number == 0 else along
        inner = f'<body pos="{place}">{_link(number, axes[number], inner, along)}</body>'
    return inner


_CART = (
    '<body><joint name="j0" type="slide" axis="1 0 0"/><geom type="box" size="0.2 0.1 0.1"/>'
    '<body pos="0 0 0"><joint name="j1" type="hinge" axis="0 1 0"/>'
    '<geom type="capsule" fromto="0 0 0 0 0 1" size="0.04"/></body></body>'
)
_MODELS = {  # bodies, actuated joints
    'cartpole': (_CART, [0]),
    'acrobot': (_chain(['0 1 0', '0 1 0'], '0 0 1'), [1]),
    'reacher': (_chain(['0 0 1', '0 0 1'], '0.3 0 0'), [0, 1]),
    'arm': (_chain(['0 0 1', '0 1 0', '0 0 1', '0 1 0', '0 0 1', '0 1 0', '0 0 1']), [*range(7)]),
}
NAMES = tuple(_MODELS)


def make_task(name: str, integrator: str = 'Euler') -> Task:
    """One of `NAMES`: every joint near rest, to be brought to 0 with little torque."""
    bodies, actuated = _MODELS[name]
    motors = ''.join(
        f'<motor joint="j{i}" gear="2" ctrllimited="true" ctrlrange="-1 1"/>' for i in actuated
    )
    joints = bodies.count('<joint')

    def reset(key) -> Start:
        qpos = jax.random.uniform(key, (joints,), minval=-1.0)
        return Start(qpos, jnp.zeros(joints))

    return Task(
        name=name,
        episode_steps=100,
        control_timestep=0.01,
        reset=reset,
        observe=lambda reading, variables: jnp.concatenate([reading.qpos, reading.qvel]),
        cost=lambda reading, variables, action: (
            jnp.sum(reading.qpos**2) + 0.1 * jnp.sum(reading.qvel**2) + 0.01 * jnp.sum(action**2)
        ),
        mjcf=_FREE.format(name=name, integrator=integrator, bodies=bodies, motors=motors),
    )


# As `module:factory`, for what takes a task by its name.
cartpole, acrobot, reacher, arm = (functools.partial(make_task, name) for name in NAMES)
