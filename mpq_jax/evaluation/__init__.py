"""What was learned, used: test episodes, and a controller."""

from mpq_jax.evaluation.controller import Controller
from mpq_jax.evaluation.evaluator import evaluate
from mpq_jax.evaluation.loaded_controller import load_controller, make_controller
from mpq_jax.evaluation.task_look import look

__all__ = ['Controller', 'evaluate', 'load_controller', 'look', 'make_controller']
