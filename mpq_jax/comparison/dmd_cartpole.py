"""The cartpole on which DMD-MPC was published: system, costs, episodes, the cells of its figures.

Wagener, Cheng, Sacks and Boots, *An Online Learning Approach to Model Predictive Control* (RSS
2019), the continuous half. The planner's pole is longer than the true one; both feel a random
force. Undisclosed, and ours: episodes begin hanging at rest, steps are semi-implicit Euler, zeros
follow a plan's end.
"""

import csv
import functools
import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from mpq_jax.base.compilation import compile
from mpq_jax.base.files import write_atomically
from mpq_jax.config import DMDConfig
from mpq_jax.dynamics.straight_line import trigonometry
from mpq_jax.planning.dmd import DMD
from mpq_jax.planning.planner import improve

CART, TIP, GRAVITY = 0.711, 0.209, 9.81  # kg, kg, m/s^2; the pole itself has no mass
TRUE_LENGTH, MODEL_LENGTH = 0.326, 0.346  # m
TIMESTEP, STEPS, HORIZON = 0.02, 500, 50
FORCE, PLAN_DEVIATION, DISTURBANCE = 25.0, 2.0, 5.0  # N: clamp, of plans, of the random force
DRAWS = 10  # of the random force, common to all plans of a control step
EPISODES = 10


class Cell(NamedTuple):
    """One setting; `parameter`: the temperature, the elite fraction, 0 for the mean cost."""

    loss: str
    num_samples: int
    step_size: float
    parameter: float


_UTILITIES = {'exponential_utility': 1.0, 'low_cost': 1e-3}


def cells() -> list[Cell]:
    """Those of the two figures, what is cheap first: step sizes for three N; parameters at 1000."""
    found = []
    for samples in (10, 100, 1000):
        found += [Cell('expected_cost', samples, 10.0**i, 0.0) for i in range(-6, 3)]
        for loss, parameter in _UTILITIES.items():
            for i in range(-4, 5):
                found.append(Cell(loss, samples, 10.0 ** (i / 2), parameter))
    for step in (0.25, 0.5, 1.0, 2.0, 4.0):
        found += [Cell('exponential_utility', 1000, step, 10.0**i) for i in range(-4, 4)]
        found += [Cell('low_cost', 1000, step, fraction) for fraction in (1e-3, 1e-2, 1e-1)]
    return list(dict.fromkeys(found))


class State(NamedTuple):
    """Arrays of one shape."""

    position: jax.Array  # m
    angle: jax.Array  # rad, from hanging
    speed: jax.Array  # m/s
    rate: jax.Array  # rad/s


def advance(length: float, state: State, force: jax.Array) -> State:
    """One time step later."""
    position, angle, speed, rate = state
    sine, cosine = trigonometry.sin(angle), trigonometry.cos(angle)
    push = force + TIP * sine * (length * rate**2 + GRAVITY * cosine)
    acceleration = push / (CART + TIP * sine**2)
    turning = -force * cosine - TIP * length * rate**2 * sine * cosine
    turning = (turning - (CART + TIP) * GRAVITY * sine) / (length * (CART + TIP * sine**2))
    speed, rate = speed + TIMESTEP * acceleration, rate + TIMESTEP * turning
    return State(position + TIMESTEP * speed, angle + TIMESTEP * rate, speed, rate)


def cost(state: State) -> jax.Array:
    """Of a state; hanging still it is 500 pi^2 + 1000."""
    position, angle, speed, rate = state
    turns = jnp.round(angle / (2.0 * jnp.pi))
    away = jnp.pi - jnp.abs(angle - 2.0 * jnp.pi * turns)  # from upright, wrapped
    fallen = away >= jnp.deg2rad(12.0)
    return 10.0 * position**2 + 500.0 * away**2 + speed**2 + 15.0 * rate**2 + 1000.0 * fallen


def plan_costs(disturbances: jax.Array, state: State, actions: jax.Array) -> jax.Array:
    """What plans `[N, H, 1]` cost from a state, a mean over random forces `[DRAWS, H]`."""
    shape = actions.shape[0], DRAWS
    states = jax.tree.map(lambda x: jnp.broadcast_to(x, shape), state)

    def step(carry, now):
        states, total = carry
        action, disturbance = now
        force = FORCE * action[:, None] + disturbance
        return (advance(MODEL_LENGTH, states, force), total + cost(states)), None

    start = states, jnp.zeros(shape)
    inputs = jnp.moveaxis(actions[..., 0], 0, 1), disturbances.T
    (states, total), _ = jax.lax.scan(step, start, inputs)
    return jnp.mean(total + cost(states), axis=1)


def episode(config: DMDConfig, key: jax.Array) -> jax.Array:
    """The cost of an episode in which the mean of each plan acts."""

    def control(carry, key):
        state, plan = carry
        plan_key, model_key, real_key = jax.random.split(key, 3)
        forces = DISTURBANCE * jax.random.normal(model_key, (DRAWS, HORIZON))
        costs_of = functools.partial(plan_costs, forces, state)
        plan, _ = improve(DMD, config, costs_of, plan, plan_key)
        force = FORCE * DMD.first_action(plan)[0] + DISTURBANCE * jax.random.normal(real_key)
        after = advance(TRUE_LENGTH, state, force)
        return (after, DMD.shift(config, plan)), cost(state)

    start = State(*jnp.zeros(4)), DMD.init(config, 1)
    _, costs = jax.lax.scan(control, start, jax.random.split(key, STEPS))
    return jnp.sum(costs)


def config_of(cell: Cell) -> DMDConfig:
    """The planner of a cell: a fixed covariance, no control term."""
    fraction = cell.parameter if cell.loss == 'low_cost' else 0.1
    return DMDConfig(
        horizon=HORIZON,
        num_samples=cell.num_samples,
        discount=1.0,
        loss=cell.loss,
        covariance='fixed',
        noise_variance=(PLAN_DEVIATION / FORCE) ** 2,
        step_size=cell.step_size,
        temperature=cell.parameter if cell.loss == 'exponential_utility' else 1.0,
        elite_fraction=max(fraction, 1.0 / cell.num_samples),  # one sample at least
    )


def run(path: Path, on_cell: Callable[[Cell, int, int], None]) -> list[tuple[Cell, np.ndarray]]:
    """Runs what the CSV at `path` does not hold yet; it is written after each cell.

    Returns:
      The costs `[EPISODES]` of each cell.
    """
    found = dict(read(path))
    programs: dict[tuple[str, int], Callable] = {}
    keys = jax.random.split(jax.random.key(0), EPISODES)
    wanted = cells()
    for i, cell in enumerate(wanted):
        if cell in found:
            continue
        on_cell(cell, i, len(wanted))
        config = jax.tree.map(jnp.float32, config_of(cell))
        name = cell.loss, cell.num_samples
        if name not in programs:
            batch = jax.vmap(episode, in_axes=(None, 0))
            programs[name] = compile(batch, config, keys, name=f'{cell.loss} N={cell.num_samples}')
        found[cell] = np.asarray(programs[name](config, keys))
        _write(path, found)
    return list(found.items())


def read(path: Path) -> list[tuple[Cell, np.ndarray]]:
    """The cells that have run."""
    if not path.exists():
        return []
    rows = list(csv.reader(io.StringIO(path.read_text())))[1:]
    return [
        (Cell(loss, int(n), float(step), float(parameter)), np.array(costs, float))
        for loss, n, step, parameter, *costs in rows
    ]


def _write(path: Path, found: dict[Cell, np.ndarray]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator='\n')
    writer.writerow([*Cell._fields, *(f'episode_{i}' for i in range(EPISODES))])
    for cell, costs in found.items():
        writer.writerow([*cell, *(f'{value:.6g}' for value in costs)])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, table.getvalue())
