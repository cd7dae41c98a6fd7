"""Trees to SymPy and back. SymPy never sees a text: every object is built node by node."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import sympy

from .reader import Node

__all__ = ["Unconvertible", "from_sympy", "to_sympy"]

_CONSTANTS = {"pi": sympy.pi, "e": sympy.E, "i": sympy.I, "inf": sympy.oo}
_FUNCTIONS = {
    "sin": sympy.sin, "cos": sympy.cos, "tan": sympy.tan, "cot": sympy.cot, "sec": sympy.sec,
    "csc": sympy.csc,
    "arcsin": sympy.asin, "arccos": sympy.acos, "arctan": sympy.atan, "arccot": sympy.acot,
    "arcsec": sympy.asec,
    "arccsc": sympy.acsc, "sinh": sympy.sinh, "cosh": sympy.cosh, "tanh": sympy.tanh, "coth": sympy.coth,
    "sech": sympy.sech, "csch": sympy.csch, "arcsinh": sympy.asinh, "arccosh": sympy.acosh,
    "arctanh": sympy.atanh,
    "exp": sympy.exp, "ln": sympy.log, "abs": sympy.Abs, "floor": sympy.floor, "ceil": sympy.ceiling,
    "factorial": sympy.factorial, "binom": sympy.binomial, "max": sympy.Max, "min": sympy.Min,
    "gcd": sympy.gcd,
    "lcm": sympy.lcm, "arg": sympy.arg, "Re": sympy.re, "Im": sympy.im, "sgn": sympy.sign, "erf": sympy.erf,
}  # fmt: skip
_BACK = {"sin": "sin", "cos": "cos", "tan": "tan", "log": "ln", "exp": "exp", "Abs": "abs", "asin": "arcsin",
         "acos": "arccos", "atan": "arctan"}  # fmt: skip


class Unconvertible(Exception):
    """The tree has no counterpart in SymPy, or the other way round."""


def _rational(number: Fraction) -> Any:
    return sympy.Rational(number.numerator, number.denominator)


def to_sympy(node: Node) -> Any:
    """The SymPy object of a scalar or matrix tree; variables are real. Raises `Unconvertible`."""
    kind = node[0]
    if kind in ("num", "dec", "base"):
        return _rational(node[1])
    if kind == "sym":
        return sympy.Symbol(node[1], real=True)
    if kind == "const" and node[1] in _CONSTANTS:
        return _CONSTANTS[node[1]]
    if kind == "add":
        result = to_sympy(node[1][0])
        for term in node[1][1:]:
            result = result + to_sympy(term)
        return result
    if kind == "mul":
        result = to_sympy(node[1][0])
        for factor in node[1][1:]:
            result = result * to_sympy(factor)
        return result
    if kind == "div":
        return to_sympy(node[1]) / to_sympy(node[2])
    if kind == "pow":
        return _power(to_sympy(node[1]), node[2])
    if kind in ("pct", "deg"):
        inner = to_sympy(node[1])
        return inner / 100 if kind == "pct" else inner * sympy.pi / 180
    if kind == "unit":
        return to_sympy(node[1])
    if kind == "fn":
        return _function(node[1], node[2])
    if kind == "matrix":
        return sympy.Matrix([[to_sympy(cell) for cell in row] for row in node[1]])
    if kind == "big":
        return _big(node)
    raise Unconvertible(kind)


def _power(base: Any, exponent_node: Node) -> Any:
    if isinstance(base, sympy.MatrixBase) and exponent_node == ("sym", "T"):
        return base.T
    exponent = to_sympy(exponent_node)
    if isinstance(exponent, sympy.Rational) and exponent.q % 2 and exponent.q > 1 and base.is_real:
        return sympy.real_root(base, exponent.q) ** exponent.p
    return base**exponent


def _function(name: str, arguments: tuple[Node, ...]) -> Any:
    values = [to_sympy(argument) for argument in arguments]
    if name == "sqrt":
        return sympy.sqrt(values[0])
    if name == "cbrt":
        return sympy.real_root(values[0], 3)
    if name in ("log", "lg"):
        base = 10 if name == "lg" else values[1] if len(values) > 1 else None
        return sympy.log(values[0]) if base is None else sympy.log(values[0], base)
    if name in ("det", "tr") and isinstance(values[0], sympy.MatrixBase):
        return values[0].det() if name == "det" else values[0].trace()
    if name in _FUNCTIONS:
        return _FUNCTIONS[name](*values)
    if name in ("builder", "norm", "mod", "prime"):
        raise Unconvertible(name)
    return sympy.Function(name)(*values)


def _big(node: Node) -> Any:
    _, name, low, high, body = node
    if name == "lim":
        if low is None or low[0] != "rel" or low[1] != ("->",):
            raise Unconvertible(name)
        return sympy.limit(to_sympy(body), to_sympy(low[2][0]), to_sympy(low[2][1]))
    if name == "int":
        return _integral(low, high, body)
    if name not in ("sum", "prod") or low is None or high is None or low[0] != "rel" or low[1] != ("=",):
        raise Unconvertible(name)
    variable, start = low[2]
    index = sympy.Symbol("i" if variable == ("const", "i") else variable[1], integer=True)
    real = sympy.I if variable == ("const", "i") else sympy.Symbol(variable[1], real=True)
    made = (sympy.Sum if name == "sum" else sympy.Product)(
        to_sympy(body).subs(real, index), (index, to_sympy(start), to_sympy(high))
    )
    return made.doit()


def _integral(low: Node | None, high: Node | None, body: Node) -> Any:
    factors = list(body[1]) if body[0] == "mul" else [body]
    if len(factors) < 2 or factors[-2] != ("sym", "d") or factors[-1][0] != "sym":
        raise Unconvertible("integral")
    variable = to_sympy(factors[-1])
    integrand = to_sympy(("mul", tuple(factors[:-2]))) if len(factors) > 2 else sympy.Integer(1)
    if low is None or high is None:
        raise Unconvertible("integral")
    return sympy.integrate(integrand, (variable, to_sympy(low), to_sympy(high)))


def from_sympy(expression: Any) -> Node:
    """The tree of a SymPy number or expression. Raises `Unconvertible`."""
    if isinstance(expression, sympy.Rational):
        return ("num", Fraction(int(expression.p), int(expression.q)))
    if isinstance(expression, sympy.Float):
        return ("num", Fraction(str(expression)))
    if isinstance(expression, sympy.Symbol):
        return ("sym", expression.name)
    for name, constant in _CONSTANTS.items():
        if expression == constant:
            return ("const", name)
    if isinstance(expression, sympy.Add):
        return ("add", tuple(map(from_sympy, expression.args)))
    if isinstance(expression, sympy.Mul):
        return ("mul", tuple(map(from_sympy, expression.args)))
    if isinstance(expression, sympy.Pow):
        return ("pow", from_sympy(expression.base), from_sympy(expression.exp))
    back = _BACK.get(type(expression).__name__)
    if back is not None:
        return ("fn", back, tuple(map(from_sympy, expression.args)))
    raise Unconvertible(type(expression).__name__)
