"""What is asked of somebody else's environment before it can be a real system."""

from typing import NamedTuple, Protocol

import mujoco
import numpy as np


class Place(NamedTuple):
    """Where an environment is: MjData's fields, in the sizes of the task's model."""

    qpos: np.ndarray  # [nq]
    qvel: np.ndarray  # [nv]
    act: np.ndarray  # [na]
    qacc_warmstart: np.ndarray  # [nv]
    ctrl: np.ndarray  # [nu], what its actuators were given last


class Outcome(NamedTuple):
    """What a step of an environment came to."""

    reward: float
    terminated: bool  # by the environment's own rule
    over: bool  # terminated, or at its time limit: no step may follow


class Environment(Protocol):
    """An environment with qpos and qvel."""

    step_seconds: float  # of one `step`
    action_range: tuple[np.ndarray, np.ndarray]  # lowest and highest `[nu]`

    def reset(self, seed: int) -> None:
        """Starts an episode of its own, that the seed fixes."""
        ...

    def step(self, action: np.ndarray) -> Outcome:
        """Takes an action within its range, `[nu]`."""
        ...

    def place(self) -> Place:
        """Where it is now."""
        ...

    def position_of(self, name: str) -> np.ndarray:
        """Where what it calls by that name is, a goal for example, [3]. Raises KeyError."""
        ...

    def draw(self, qpos: np.ndarray, qvel: np.ndarray) -> np.ndarray:
        """A picture of it at another place `[height, width, 3]`, by its own renderer."""
        ...

    def close(self) -> None:
        """Lets go of windows and the like; nothing is called after that."""
        ...


def place_in(data: mujoco.MjData) -> Place:
    """The place that MuJoCo's own data hold."""
    return Place(*(np.array(getattr(data, field)) for field in Place._fields))


def position_in(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> np.ndarray:
    """Where a body, geom or site is. Raises KeyError where none has that name."""
    kinds = mujoco.mjtObj
    for kind, places in (
        (kinds.mjOBJ_BODY, data.xpos), (kinds.mjOBJ_GEOM, data.geom_xpos),
        (kinds.mjOBJ_SITE, data.site_xpos),
    ):  # fmt: skip
        number = mujoco.mj_name2id(model, kind.value, name)
        if number >= 0:
            return np.array(places[number])
    raise KeyError(name)
