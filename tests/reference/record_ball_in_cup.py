"""Records `ball_in_cup.npz` from dm_control, the reference of `tests/test_ball_in_cup.py`.

dm_control 1.0.50 does not run on mujoco 4 (`MjModel` has no `flex_vertedge`), so the record was
made once, in an environment of its own:

    pip install dm_control==1.0.50 mujoco==3.17.0 numpy==2.4.6
    MUJOCO_GL=disable python tests/reference/record_ball_in_cup.py

draws [400, 2]: ball slides drawn like its starts; touching [400]: whether its contacts saw them.
states [5, 61, 8]: qpos and qvel of episodes in which nothing meets the ground, which ours lacks;
controls [5, 60, 2]; rewards and contacts [5, 61], of each state.
"""

from pathlib import Path

import mujoco
import numpy as np
from dm_control import suite

EPISODES_WITH_CONTACT, EPISODES_WITHOUT, STEPS, HOLD = 3, 2, 60, 5

environment = suite.load('ball_in_cup', 'catch', task_kwargs={'random': 0})
physics, task = environment.physics, environment.task
model = physics.model.ptr
model.body_mass[model.body('ball').id] = 0.058
model.body_inertia[model.body('ball').id] = 1.47e-5
model.tendon_stiffness[0] = 0.05
mujoco.mj_setConst(model, physics.data.ptr)
random = np.random.default_rng(0)


def place(ball):
    physics.reset()
    physics.data.qpos[2:] = ball
    physics.after_reset()


def touches_in_dm_control(ball):
    place(ball)
    return physics.data.ncon > 0


def describe():
    state = np.concatenate([physics.data.qpos, physics.data.qvel])
    grounded = (physics.data.contact.geom == model.geom('ground').id).any()
    return state, task.get_reward(physics), physics.data.ncon, grounded


def episode(ball):
    place(ball)
    rows = [describe()]
    controls = np.repeat(random.uniform(-1.0, 1.0, (STEPS // HOLD, 2)), HOLD, axis=0)
    controls = controls.astype(np.float32)
    for control in controls:
        physics.set_control(control)
        physics.step(nstep=10)
        rows.append(describe())
    states, rewards, contacts, grounded = map(np.array, zip(*rows, strict=True))
    return (states.astype(np.float32), controls, rewards, contacts), grounded.any()


draws = random.uniform([-0.2, 0.2], [0.2, 0.5], (400, 2)).astype(np.float32)
touching = np.array([touches_in_dm_control(draw) for draw in draws])
kept = {True: [], False: []}
for start in draws[~touching]:
    recorded, grounded = episode(start)
    if not grounded:
        kept[bool(recorded[3].any())].append(recorded)
episodes = kept[True][:EPISODES_WITH_CONTACT] + kept[False][:EPISODES_WITHOUT]
names = ('states', 'controls', 'rewards', 'contacts')
arrays = dict(zip(names, map(np.array, zip(*episodes, strict=True)), strict=True))
np.savez_compressed(
    Path(__file__).with_name('ball_in_cup.npz'),
    draws=draws, touching=touching, **(arrays | {'contacts': arrays['contacts'].astype(np.int8)}),
)  # fmt: skip
for each in episodes:
    met = np.flatnonzero(each[3])
    print('contact steps', len(met), 'first', met[:1], 'in the cup', int(each[2].sum()))
