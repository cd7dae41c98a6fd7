"""Whether two scalar expressions are the same number or the same function.

Exact arithmetic decides where both are rational; else both are evaluated at fixed points with an error
bound, and what the bound does not settle stays undecided.
"""

from __future__ import annotations

from fractions import Fraction

from .reader import Node
from .rules import Rules
from .values import Unknown, exact, free_symbols, has_decimals, integer_like, point, value

__all__ = ["close", "same_number", "same_up_to_scale", "zeros_differ"]

_POINTS = 4


def close(a: Node, b: Node, x: Fraction, y: Fraction, rules: Rules) -> bool:
    """Whether two rational values agree: exactly, or as decimals of the precision they are written with."""
    if x == y:
        return True
    digits = (has_decimals(a), has_decimals(b))
    if not any(digits):
        return False
    gap = abs(x - y)
    if gap <= Fraction(rules.noise) * max(abs(x), abs(y)):
        return True
    return any(
        node[0] == "dec" and _rounds_to(node, other, gap, rules)
        for node, other in ((_bare(a), _bare(b)), (_bare(b), _bare(a)))
    )


def _bare(node: Node) -> Node:
    while node[0] in ("pct", "deg", "unit"):
        node = node[1]
    return node


def _rounds_to(decimal: Node, other: Node, gap: Fraction, rules: Rules) -> bool:
    """A decimal of enough digits stands for every number it is the rounding (or the cutting) of."""
    if decimal[3] < rules.digits:
        return False
    if other[0] == "dec" and other[2] >= decimal[2]:
        return False
    return bool(gap < decimal[2])


def same_number(a: Node, b: Node, rules: Rules) -> bool | None:
    """Equality of two scalar trees, or `None` where floating point cannot tell."""
    signs = _infinite(a), _infinite(b)
    if any(signs):
        if all(signs):
            return signs[0] == signs[1]
        return False
    try:
        x: Fraction | None = exact(a)
    except Unknown:
        x = None
    try:
        y: Fraction | None = exact(b)
    except Unknown:
        y = None
    if x is not None and y is not None:
        return close(a, b, x, y, rules)
    names = free_symbols(a) | free_symbols(b)
    integers = integer_like(a) | integer_like(b)
    decimals = _tolerance(a, b, rules)
    agreed = 0
    doubtful = False
    for index in range(_POINTS if names else 1):
        at = point(names, index, integers)
        try:
            (u, eu), (v, ev) = value(a, at), value(b, at)
        except Unknown:
            continue
        gap, slack, size = abs(u - v), eu + ev, max(abs(u), abs(v))
        if (gap <= 8 * slack and (slack <= 1e-9 * size or slack <= 1e-12)) or gap <= decimals * size:
            agreed += 1
        elif gap > 64 * slack:
            return False
        else:
            doubtful = True
    if doubtful or not agreed:
        return None
    return True


def _infinite(node: Node) -> int:
    """1 and -1 for plus and minus infinity, 0 for anything else."""
    if node == ("const", "inf"):
        return 1
    if node[0] == "mul" and len(node[1]) == 2 and node[1][1] == ("const", "inf") and node[1][0][0] == "num":
        return 1 if node[1][0][1] > 0 else -1
    return 0


def _tolerance(a: Node, b: Node, rules: Rules) -> float:
    """The relative difference that decimals in an expression excuse."""
    digits = [d for d in (has_decimals(a), has_decimals(b)) if d]
    if not digits:
        return 0.0
    return max(rules.noise, 2.0 * 10.0 ** -min(digits) if min(digits) >= rules.digits else 0.0)


def same_up_to_scale(a: Node, b: Node) -> complex | bool | None:
    """The constant `a / b` where it is the same at every point, `False` where it varies, else `None`."""
    names = free_symbols(a) | free_symbols(b)
    integers = integer_like(a) | integer_like(b)
    ratio: complex | None = None
    seen = 0
    for index in range(_POINTS + 1):
        at = point(names, index, integers)
        try:
            (u, eu), (v, ev) = value(a, at), value(b, at)
        except Unknown:
            continue
        if abs(v) <= 64 * ev or abs(u) <= 64 * eu:
            if (abs(v) <= 64 * ev) != (abs(u) <= 64 * eu):
                return False
            continue
        found = u / v
        slack = (eu + abs(found) * ev) / abs(v)
        if slack > 1e-8 * abs(found):
            continue
        if ratio is None:
            ratio = found
        elif abs(found - ratio) > 1e-7 * abs(ratio):
            return False
        seen += 1
    return ratio if seen >= 2 else None


def zeros_differ(a: Node, b: Node) -> bool:
    """Whether some zero of one expression is surely no zero of the other (found by the secant method)."""
    names = sorted(free_symbols(a) | free_symbols(b))
    return any(_refutes(f, g, names, index) for f, g in ((a, b), (b, a)) for index in range(3))


def _refutes(f: Node, g: Node, names: list[str], index: int) -> bool:
    at = point(frozenset(names), index, frozenset())
    mine = free_symbols(f)
    for name in names:
        if name not in mine:
            continue
        zero = _zero(f, name, at)
        if zero is None:
            continue
        try:
            (left, slack), (right, error) = value(f, {**at, name: zero}), value(g, {**at, name: zero})
        except Unknown:
            continue
        step = 1e-6 * max(abs(zero), 1.0)
        try:
            slope = abs(value(g, {**at, name: zero + step})[0] - right) / step
            own = abs(value(f, {**at, name: zero + step})[0] - left) / step
        except Unknown:
            continue
        if own == 0:
            continue
        distance = (abs(left) + slack) / own
        if abs(right) > 1e4 * (error + slope * distance) and abs(right) > 1e-6 * max(slope, 1e-3):
            return True
    return False


def _zero(f: Node, name: str, at: dict[str, complex]) -> complex | None:
    x, y = at[name], at[name] + (0.31 + 0.17j)
    try:
        u, v = value(f, {**at, name: x})[0], value(f, {**at, name: y})[0]
        for _ in range(60):
            if u == v:
                break
            x, y, u = y, y - v * (y - x) / (v - u), v
            v, error = value(f, {**at, name: y})
            if abs(y - x) <= 1e-14 * abs(y) or abs(v) <= error:
                return complex(y.real) if abs(y.imag) < 1e-12 * max(abs(y), 1.0) else y
    except (Unknown, OverflowError, ZeroDivisionError):
        return None
    return None
