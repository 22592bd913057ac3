"""Partial evaluation: what a function computes from constants alone is computed once.

MJX traces thousands of operations on the fixed structure of a model (indices, masks, frames of
bodies that do not move) and returns much that a planner never reads. Vmapped three times over,
in several programs, they are what compiling a small model spends its time on.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend.core import ClosedJaxpr, DropVar, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from mpq_jax.dynamics.ending_loops import ending


def specialize(fn: Callable, *examples) -> Callable:
    """The same function for arguments shaped like the examples, without its constant part.

    Args:
      fn: a pure function of pytrees; not vmapped, the result may be.
      *examples: arrays or `jax.ShapeDtypeStruct`s in the arguments' shapes and types.

    Returns:
      A function of the same arguments, cheaper to trace, to batch and to compile. It is traced
      already: it never calls `fn` again.
    """
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), examples)
    traced, output = jax.make_jaxpr(fn, return_shape=True)(*shapes)
    flat = _inlined(traced)
    known, unknown = _split(flat.jaxpr)
    live = _live(unknown, flat.jaxpr.outvars)
    wanted = _read_by(live, flat.jaxpr.outvars)
    residuals = list(dict.fromkeys(_constants(flat.jaxpr, known, wanted)))
    folding = flat.jaxpr.replace(eqns=_live(known, residuals), outvars=residuals)
    unused = [np.zeros(x.shape, x.dtype) for x in jax.tree.leaves(shapes)]
    folded = jax.jit(jaxpr_as_fun(ClosedJaxpr(folding, flat.consts)))(*unused)
    rest = flat.jaxpr.replace(constvars=residuals, eqns=live)
    run = jaxpr_as_fun(ClosedJaxpr(rest, [np.asarray(value) for value in folded]))
    structure = jax.tree.structure(output)
    leaves = jax.tree.leaves(shapes)

    def specialized(*args):
        typed = [
            jax.numpy.asarray(x, s.dtype)
            for x, s in zip(jax.tree.leaves(args), leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, run(*typed))

    return specialized


def _inlined(closed: ClosedJaxpr) -> ClosedJaxpr:
    """The same computation with the bodies of nested jits in their place."""
    equations: list[JaxprEqn] = []
    constants: dict[Var, Any] = {}

    def visit(jaxpr: Jaxpr, consts, inputs) -> list:
        """Appends a body's equations, on variables of their own; the atoms of its outputs."""
        atoms = dict(zip(jaxpr.invars, inputs, strict=True))
        for variable, value in zip(jaxpr.constvars, consts, strict=True):
            atoms[variable] = Var(variable.aval)
            constants[atoms[variable]] = value

        def atom(x):
            return x if isinstance(x, Literal) else atoms[x]

        for equation in jaxpr.eqns:
            given = [atom(x) for x in equation.invars]
            body = equation.params.get('jaxpr')
            if equation.primitive.name in ('jit', 'pjit') and isinstance(body, ClosedJaxpr):
                results = visit(body.jaxpr, body.consts, given)
            else:
                if equation.primitive.name == 'while':
                    ends = ending(equation.params['body_jaxpr'])
                    equation = equation.replace(params={**equation.params, 'body_jaxpr': ends})
                results = [x if isinstance(x, DropVar) else Var(x.aval) for x in equation.outvars]
                equations.append(equation.replace(invars=given, outvars=results))
            atoms |= zip(equation.outvars, results, strict=True)
        return [atom(x) for x in jaxpr.outvars]

    outputs = visit(closed.jaxpr, closed.consts, closed.jaxpr.invars)
    flat = closed.jaxpr.replace(constvars=list(constants), eqns=equations, outvars=outputs)
    return ClosedJaxpr(flat, list(constants.values()))


def _split(jaxpr: Jaxpr) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """The equations that depend on constants alone, and the others."""
    dependent = set(jaxpr.invars)
    known, unknown = [], []
    for equation in jaxpr.eqns:
        if equation.effects or any(atom in dependent for atom in _variables(equation.invars)):
            dependent |= set(equation.outvars)
            unknown.append(equation)
        else:
            known.append(equation)
    return known, unknown


def _live(equations: list[JaxprEqn], outputs) -> list[JaxprEqn]:
    """The equations that outputs depend on, in order."""
    needed = set(_variables(outputs))
    kept = []
    for equation in reversed(equations):
        if equation.effects or any(variable in needed for variable in equation.outvars):
            needed |= set(_variables(equation.invars))
            kept.append(equation)
    return kept[::-1]


def _read_by(equations: list[JaxprEqn], outputs) -> list[Var]:
    atoms = [atom for equation in equations for atom in equation.invars]
    return _variables([*atoms, *outputs])


def _constants(jaxpr: Jaxpr, known: list[JaxprEqn], wanted: list[Var]) -> list[Var]:
    """Those of the wanted variables that constants determine."""
    determined = {variable for equation in known for variable in equation.outvars}
    determined |= set(jaxpr.constvars)
    return [variable for variable in wanted if variable in determined]


def _variables(atoms) -> list[Var]:
    return [atom for atom in atoms if isinstance(atom, Var)]
