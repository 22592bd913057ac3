"""Tuned against untuned: python -m experiments.tuning_table [--entries=...]."""

import dataclasses

import mpq_jax
from mpq_jax.tasks import Task


def pendulum() -> Task:
    """The pendulum as a newcomer has it: without its settings."""
    return _untuned('pendulum')


def ball_in_cup() -> Task:
    """Ball in cup without its settings, but for how finely its physics are stepped."""
    return _untuned('ball_in_cup')


def _untuned(name: str) -> Task:
    task = mpq_jax.load_task(name)
    physics = ('planner_physics.', 'real_physics.')
    settings = {name: value for name, value in task.settings.items() if name.startswith(physics)}
    return dataclasses.replace(task, settings=settings, agent_settings={}, presets={})
