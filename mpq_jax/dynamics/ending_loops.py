"""Loops that stop when they are done.

MJX writes the line search of its solver as a scan over the most iterations there may be, 50 unless
a model says another number, whose turns do nothing once the search has converged: so it has a
gradient. Inside of the solver's own `while`, which has none, a scan like that may as well be a
`while`: a batch of them ends with its slowest member, and the results are the same.
"""

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun


def ending(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The body of a `while` whose scans end when they are done; itself where it has none."""
    if not any(_goes_on(equation) is not None for equation in closed.jaxpr.eqns):
        return closed

    def run(*arguments):
        known = dict(zip(closed.jaxpr.invars, arguments, strict=True))
        known |= zip(closed.jaxpr.constvars, closed.consts, strict=True)
        for equation in closed.jaxpr.eqns:
            given = [_read(known, atom) for atom in equation.invars]
            place = _goes_on(equation)
            if place is None:
                results = alone(closed.jaxpr, equation)(*given)
            else:
                results = _until_done(equation, place, given)
            known |= zip(equation.outvars, results, strict=True)
        return [_read(known, atom) for atom in closed.jaxpr.outvars]

    shapes = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in closed.jaxpr.invars]
    return jax.make_jaxpr(run)(*shapes)


def alone(surrounding: Jaxpr, equation: JaxprEqn):
    """One equation as a function of its arguments."""
    inputs: list = [Var(atom.aval) for atom in equation.invars]
    body = equation.replace(invars=inputs)
    jaxpr = surrounding.replace(
        constvars=[], invars=inputs, outvars=list(equation.outvars), eqns=[body],
        effects=equation.effects,
    )  # fmt: skip
    return jaxpr_as_fun(ClosedJaxpr(jaxpr, []))


def _read(known, atom):
    return atom.val if isinstance(atom, Literal) else known[atom]


def _goes_on(equation: JaxprEqn) -> int | None:
    """Of a scan that does nothing once it is done: the place in its carry that says so.

    Its body is a `cond` on that place, of which one branch hands on what it is given.
    """
    params = equation.params
    if equation.primitive.name != 'scan' or params['num_carry'] != len(equation.outvars):
        return None
    body: Jaxpr = params['jaxpr'].jaxpr
    names = [e.primitive.name for e in body.eqns]
    if names != ['convert_element_type', 'cond'] or len(body.invars) != len(equation.invars):
        return None
    convert, cond = body.eqns
    carry = body.invars[params['num_consts'] :]
    if convert.invars[0] not in carry or cond.invars[0] is not convert.outvars[0]:
        return None
    place = carry.index(convert.invars[0])
    done: Jaxpr = cond.params['branches'][0].jaxpr
    if done.eqns or len(cond.params['branches']) != 2 or list(body.outvars) != list(cond.outvars):
        return None
    given = dict(zip(done.invars, cond.invars[1:], strict=True))
    for i, (atom, own) in enumerate(zip(done.outvars, carry, strict=True)):
        if isinstance(atom, Literal):
            if i != place or bool(atom.val):
                return None
        elif given.get(atom) is not own:
            return None
    return place


def _until_done(equation: JaxprEqn, place: int, arguments: list) -> list:
    params = equation.params
    body = params['jaxpr'].jaxpr
    cond = body.eqns[1]
    turn_of = jaxpr_as_fun(cond.params['branches'][1])
    consts, first = arguments[: params['num_consts']], tuple(arguments[params['num_consts'] :])

    def turn(state):
        count, carry = state
        known = dict(zip(body.invars, [*consts, *carry], strict=True))
        known |= zip(body.constvars, params['jaxpr'].consts, strict=True)
        return count + 1, tuple(turn_of(*(_read(known, atom) for atom in cond.invars[1:])))

    def goes_on(state):
        count, carry = state
        return carry[place] & (count < params['length'])

    return list(jax.lax.while_loop(goes_on, turn, (jnp.int32(0), first))[1])
