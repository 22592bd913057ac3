"""Whether a physics step is written out number by number."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from mpq_jax.base.validation import TaskError
from mpq_jax.dynamics.straight_line.interpreter import MOST_TURNS
from mpq_jax.dynamics.straight_line.transform import straight_line

# Measured on a CPU (BUILD_NOTES.md): up to here it is faster and compiles as fast, where no loop
# of unknown length, such as a constraint solver's, is left.
MOST_OPERATIONS = 5000


class Form(NamedTuple):
    """A physics step, and how it is computed."""

    step: Callable
    description: str  # 'arrays', or 'straight-line, 90 operations'
    straight: bool


def written_out(step: Callable, wanted: str, *examples) -> Form:
    """A step as it is, or straight-line.

    Args:
      step: a pure function of small arrays, without its constant part (`specialize`).
      wanted: 'on', 'off', or 'auto': where no loop and nothing that cannot be taken apart is left,
        and `MOST_OPERATIONS` are not exceeded.
      *examples: arguments, or their shapes and types.

    Raises:
      TaskError: 'on', and the step has an effect that may not be moved.
    """
    arrays = Form(step, 'arrays', False)
    if wanted == 'off' or (wanted == 'auto' and _is_large(step, examples)):
        return arrays
    try:
        straight = straight_line(step, *examples)
    except NotImplementedError as error:
        if wanted == 'on':
            raise TaskError(f'physics cannot be straight_line: {error}') from error
        return arrays
    few = straight.operations <= MOST_OPERATIONS and not straight.loops and not straight.calls
    if wanted == 'auto' and not few:
        return arrays
    said = f'straight-line, {straight.operations} operations'
    return Form(straight, said + ' and a loop' * bool(straight.loops), True)


def _is_large(step: Callable, examples) -> bool:
    """Seen before it is taken apart, which takes seconds for a large one."""
    equations = jax.make_jaxpr(step)(*examples).jaxpr.eqns
    return len(equations) > MOST_OPERATIONS or any(map(_is_loop, equations))


def _is_loop(equation) -> bool:
    turns = equation.params.get('length', 0)
    return equation.primitive.name == 'while' or turns > MOST_TURNS
