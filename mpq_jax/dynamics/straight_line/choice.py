"""Whether a physics step is written out number by number."""

from collections.abc import Callable
from typing import NamedTuple

from jax.extend.core import Jaxpr

from mpq_jax.base.validation import TaskError
from mpq_jax.dynamics.straight_line.interpreter import MOST_TURNS
from mpq_jax.dynamics.straight_line.transform import take_apart, trace

# Measured on a CPU (BUILD_NOTES.md): up to here it is faster and compiles as fast, where no loop
# of unknown length, such as a constraint solver's, is left.
MOST_OPERATIONS = 5000


class Form(NamedTuple):
    """A physics step, and how it is computed."""

    step: Callable
    description: str  # 'arrays', or 'straight-line, 90 operations'
    operations: int = 0  # scalar ones; 0 for arrays
    fusion_emitters: bool = False  # XLA's CPU fusion emitters pay, in programs that step it


def written_out(step: Callable, wanted: str, *examples) -> Form:
    """A step as it is, or straight-line.

    Args:
      step: a pure function of small arrays, without its constant part (`specialize`).
      wanted: 'on', 'off', or 'auto': where no loop, no effect and nothing that cannot be taken
        apart is left, and `MOST_OPERATIONS` are not exceeded.
      *examples: arguments, or their shapes and types.

    Raises:
      TaskError: 'on', and the step has an effect that may not be moved.
    """
    arrays = Form(step, 'arrays')
    if wanted == 'off':
        return arrays
    traced = trace(step, *examples)
    if wanted == 'auto' and (traced.closed.effects or _is_large(traced.closed.jaxpr)):
        return arrays
    try:
        straight = take_apart(traced)
    except ValueError as error:
        raise TaskError(f"physics.straight_line cannot be 'on': {error}") from error
    few = straight.operations <= MOST_OPERATIONS and not straight.calls
    if wanted == 'auto' and (straight.loops or not few):
        return arrays
    said = f'straight-line, {straight.operations} operations'
    said += ' and a loop' * bool(straight.loops)
    # A solver's loop runs twice as fast with them, steps without one hardly faster; arrays, and
    # steps of more operations, take minutes to compile (BUILD_NOTES.md).
    return Form(straight, said, straight.operations, bool(straight.loops) and few)


def _is_large(jaxpr: Jaxpr) -> bool:
    """Seen before it is taken apart, which takes seconds for a large one."""
    return len(jaxpr.eqns) > MOST_OPERATIONS or any(map(_is_loop, jaxpr.eqns))


def _is_loop(equation) -> bool:
    turns = equation.params.get('length', 0)
    return equation.primitive.name == 'while' or turns > MOST_TURNS
