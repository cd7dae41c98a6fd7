"""The rational value of a tree, where it has one of bounded size.

No power, root or factorial is computed whose result would not fit a few thousand digits, so that
`9**9**9**9` costs nothing and is merely not known.
"""

from __future__ import annotations

import math
from fractions import Fraction

from .lexing import Node

__all__ = ["Unknown", "exact"]

_MAX_BITS = 60_000


class Unknown(Exception):
    """The value cannot be had here: not rational, too large, or undefined at this point."""


def exact(node: Node) -> Fraction:
    """The rational value of a tree, decimals taken at face value. Raises `Unknown`."""
    kind = node[0]
    if kind in ("num", "dec", "base"):
        found = node[1]
        assert isinstance(found, Fraction)
        return found
    if kind == "add":
        total = Fraction(0)
        for term in node[1]:
            total = _bounded(total + exact(term))
        return total
    if kind == "mul":
        product = Fraction(1)
        for factor in node[1]:
            product *= exact(factor)
            _bounded(product)
        return product
    if kind == "div":
        below = exact(node[2])
        if not below:
            raise Unknown
        return exact(node[1]) / below
    if kind == "pow":
        return _power(exact(node[1]), exact(node[2]))
    if kind == "pct":
        return exact(node[1]) / 100
    if kind == "unit":
        return exact(node[1])
    if kind == "fn":
        return _exact_function(node[1], node[2])
    raise Unknown


def _bounded(number: Fraction) -> Fraction:
    if number.numerator.bit_length() + number.denominator.bit_length() > _MAX_BITS:
        raise Unknown
    return number


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    if exponent.denominator == 1:
        if not base and exponent < 0:
            raise Unknown
        size = max(base.numerator.bit_length(), base.denominator.bit_length())
        if base in (0, 1, -1):
            return Fraction(base ** int(exponent % 2 or (2 if exponent else 0)))
        if size * abs(exponent) > _MAX_BITS:
            raise Unknown
        return base ** int(exponent)
    degree = exponent.denominator
    if degree > 64 or (base < 0 and degree % 2 == 0):
        raise Unknown
    root = Fraction(_root(abs(base.numerator), degree), _root(base.denominator, degree))
    return _power(-root if base < 0 else root, Fraction(exponent.numerator))


def _root(number: int, degree: int) -> int:
    if number.bit_length() > 4000:
        raise Unknown
    if degree == 2:
        found = math.isqrt(number)
    else:
        low, high = 0, 1 << (number.bit_length() // degree + 1)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**degree <= number else (low, middle - 1)
        found = low
    if found**degree != number:
        raise Unknown
    return found


def _exact_function(name: str, arguments: tuple[Node, ...]) -> Fraction:
    if name not in ("sqrt", "abs", "factorial", "binom", "floor", "ceil", "max", "min", "gcd", "lcm", "cbrt"):
        raise Unknown
    values = [exact(argument) for argument in arguments]
    first = values[0]
    if name == "sqrt" or name == "cbrt":
        return _power(first, Fraction(1, 2 if name == "sqrt" else 3))
    if name == "abs":
        return abs(first)
    if name == "floor":
        return Fraction(math.floor(first))
    if name == "ceil":
        return Fraction(math.ceil(first))
    if name in ("max", "min"):
        return max(values) if name == "max" else min(values)
    if any(v.denominator != 1 or v < 0 or v > 2000 for v in values[:2]):
        raise Unknown
    if name == "factorial":
        return Fraction(math.factorial(int(first)))
    if len(values) != 2:
        raise Unknown
    pair = int(first), int(values[1])
    if name == "binom":
        return Fraction(math.comb(*pair))
    return Fraction(math.gcd(*pair) if name == "gcd" else math.lcm(*pair))
