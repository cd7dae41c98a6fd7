"""What a tree is worth in floating point, with a bound of the error, at a point of its variables."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import TypeAlias
from zlib import crc32

from .exact import Unknown, exact
from .lexing import Node

__all__ = ["Unknown", "exact", "free_symbols", "has_decimals", "integer_like", "parts", "point", "value"]

Approx: TypeAlias = tuple[complex, float]
_EPS = 2.3e-16
_CONSTANTS = {"pi": math.pi, "e": math.e, "i": 1j}


def has_decimals(node: Node) -> int:
    """The least number of significant digits among the decimals of a tree; 0 when there are none."""
    if node[0] == "dec":
        return max(int(node[3]), 1)
    found = [has_decimals(part) for part in parts(node)]
    found = [digits for digits in found if digits]
    return min(found, default=0)


def parts(node: Node) -> list[Node]:
    """The nodes directly below a node."""
    below: list[Node] = []
    for item in node[1:]:
        if isinstance(item, tuple) and item:
            if isinstance(item[0], str) and item[0] and isinstance(node[0], str) and node[0] != "rel":
                below.append(item)
            else:
                below.extend(_flattened(item))
    return below


def _flattened(items: tuple[object, ...]) -> list[Node]:
    found: list[Node] = []
    for item in items:
        if isinstance(item, tuple) and item:
            if isinstance(item[0], str):
                found.append(item)
            else:
                found.extend(_flattened(item))
    return found


def free_symbols(node: Node) -> frozenset[str]:
    """Names of the variables in a tree, those bound by a sum included."""
    if node[0] == "sym":
        return frozenset((node[1],))
    return frozenset().union(*map(free_symbols, parts(node)))


def integer_like(node: Node) -> frozenset[str]:
    """Variables that stand in an exponent of a negative number, and so are integers."""
    found: frozenset[str] = frozenset()
    if node[0] == "pow":
        try:
            if exact(node[1]) < 0:
                found = free_symbols(node[2])
        except Unknown:
            pass
    if node[0] in ("big",) or (node[0] == "fn" and node[1] in ("binom", "factorial")):
        found |= free_symbols(node)
    return found.union(*map(integer_like, parts(node)))


def point(names: frozenset[str], index: int, integers: frozenset[str]) -> dict[str, complex]:
    """The `index`-th sample point: one fixed, arbitrary-looking real number a variable."""
    chosen: dict[str, complex] = {}
    for name in names:
        seed = crc32(f"{name}/{index}".encode())
        if name in integers:
            chosen[name] = complex(2 + seed % 5 + index)
            continue
        size = 0.3 + (seed % 1_000_003) / 1_000_003 * (2.0 if index < 3 else 5.0)
        negative = (index == 1 and seed >> 21 & 1) or index == 2
        chosen[name] = complex(-size if negative else size)
    return chosen


def value(node: Node, at: Mapping[str, complex]) -> Approx:
    """The complex value at a point and a bound of its error. Raises `Unknown`."""
    try:
        found = _value(node, at)
    except (OverflowError, ZeroDivisionError, ValueError, RecursionError, IndexError, TypeError):
        raise Unknown from None
    if not cmath.isfinite(found[0]) or not math.isfinite(found[1]):
        raise Unknown
    return found


def _value(node: Node, at: Mapping[str, complex]) -> Approx:
    kind = node[0]
    if kind in ("num", "dec", "base"):
        number = float(node[1])
        return complex(number), abs(number) * _EPS
    if kind == "sym":
        if node[1] not in at:
            raise Unknown
        return at[node[1]], 0.0
    if kind == "const":
        if node[1] not in _CONSTANTS:
            raise Unknown
        return complex(_CONSTANTS[node[1]]), _EPS
    if kind == "add":
        total, error, size = 0j, 0.0, 0.0
        for term in node[1]:
            v, e = _value(term, at)
            total += v
            error += e
            size += abs(v)
        return total, error + size * _EPS * 2
    if kind == "mul":
        product, error = 1 + 0j, 0.0
        for factor in node[1]:
            v, e = _value(factor, at)
            error = abs(product) * e + abs(v) * error + abs(product * v) * _EPS
            product *= v
        return product, error
    if kind == "div":
        (a, ea), (b, eb) = _value(node[1], at), _value(node[2], at)
        if abs(b) <= 8 * eb:
            raise Unknown
        quotient = a / b
        return quotient, (ea + abs(quotient) * eb) / abs(b) + abs(quotient) * _EPS * 2
    if kind == "pow":
        return _approximate_power(node, at)
    if kind == "fn":
        return _function(node[1], [_value(argument, at) for argument in node[2]])
    if kind in ("pct", "deg"):
        v, e = _value(node[1], at)
        factor = 0.01 if kind == "pct" else math.pi / 180
        return v * factor, e * factor + abs(v) * factor * _EPS
    if kind == "unit":
        return _value(node[1], at)
    if kind == "big":
        return _big(node, at)
    raise Unknown


def _approximate_power(node: Node, at: Mapping[str, complex]) -> Approx:
    base, error = _value(node[1], at)
    try:
        exponent = exact(node[2])
    except Unknown:
        power, power_error = _value(node[2], at)
        nearest = round(power.real)
        if power_error == 0 and power == nearest:
            exponent = Fraction(nearest)
        else:
            if abs(base) <= 8 * error:
                raise
            result = cmath.exp(power * cmath.log(base))
            slack = abs(power) * error / abs(base) + abs(cmath.log(base)) * power_error
            return result, abs(result) * (slack + _EPS * (4 + abs(power * cmath.log(base))))
    if abs(exponent) > 10**6:
        raise Unknown
    if exponent == 0:
        return 1 + 0j, 0.0
    if abs(base) <= 8 * error and (exponent < 0 or exponent.denominator != 1):
        if exponent > 0 and base == 0 == error:
            return 0j, 0.0
        raise Unknown
    if exponent.denominator == 1:
        result = base ** int(exponent)
    elif exponent.denominator % 2 and abs(base.imag) <= error and base.real < 0:
        result = complex((-base.real) ** float(exponent) * (-1) ** (exponent.numerator % 2))
    else:
        result = _exact_zero_imaginary(base, error) ** float(exponent)
    if base == 0:
        return result, error
    slack = abs(float(exponent)) * error / abs(base)
    return result, abs(result) * (slack + _EPS * (4 + abs(float(exponent))))


def _exact_zero_imaginary(number: complex, error: float) -> complex:
    """On a branch cut the side is decided by noise: a real number is taken as real, from above."""
    if abs(number.imag) <= 4 * error or number.imag == 0:
        return complex(number.real, 0.0)
    return number


def _log(x: complex) -> complex:
    return cmath.log(x)


_SIMPLE: dict[str, Callable[[complex], complex]] = {
    "sin": cmath.sin, "cos": cmath.cos, "tan": cmath.tan, "sinh": cmath.sinh, "cosh": cmath.cosh,
    "tanh": cmath.tanh, "exp": cmath.exp, "arcsin": cmath.asin, "arccos": cmath.acos, "arctan": cmath.atan,
    "arcsinh": cmath.asinh, "arccosh": cmath.acosh, "arctanh": cmath.atanh, "sqrt": cmath.sqrt, "ln": _log,
    "log": _log,
    "cot": lambda x: 1 / cmath.tan(x), "sec": lambda x: 1 / cmath.cos(x), "csc": lambda x: 1 / cmath.sin(x),
    "lg": lambda x: _log(x) / math.log(10), "arccot": lambda x: cmath.atan(1 / x),
    "coth": lambda x: 1 / cmath.tanh(x), "sech": lambda x: 1 / cmath.cosh(x),
    "csch": lambda x: 1 / cmath.sinh(x),
    "arcsec": lambda x: cmath.acos(1 / x), "arccsc": lambda x: cmath.asin(1 / x),
}  # fmt: skip


def _function(name: str, arguments: list[Approx]) -> Approx:
    x, error = arguments[0]
    if name == "log" and len(arguments) == 2:
        above, below = _function("ln", [arguments[0]]), _function("ln", [arguments[1]])
        if abs(below[0]) <= 8 * below[1]:
            raise Unknown
        ratio = above[0] / below[0]
        return ratio, (above[1] + abs(ratio) * below[1]) / abs(below[0]) + abs(ratio) * _EPS
    if name == "sqrt":
        if abs(x) <= 8 * error:
            return (0j, math.sqrt(9 * error)) if error else (0j, 0.0)
        root = cmath.sqrt(_exact_zero_imaginary(x, error))
        return root, error / (2 * abs(root)) + abs(root) * _EPS
    if name == "abs":
        return complex(abs(x)), error + abs(x) * _EPS
    if name in ("Re", "Im"):
        return complex(x.real if name == "Re" else x.imag), error
    if name == "cbrt":
        if abs(x.imag) > error or abs(x) <= 8 * error:
            raise Unknown
        root = complex(math.copysign(abs(x.real) ** (1 / 3), x.real))
        return root, error / (3 * abs(root) ** 2) + abs(root) * _EPS
    if name in ("floor", "ceil"):
        nearest = round(x.real)
        if abs(x.imag) > error or abs(x.real - nearest) <= 8 * error + 1e-12:
            raise Unknown
        return complex(math.floor(x.real) if name == "floor" else math.ceil(x.real)), 0.0
    if name in ("factorial", "binom"):
        if name == "factorial" and abs(x.imag) <= error and 0 <= x.real < 170:
            result = math.gamma(x.real + 1)
            return complex(result), abs(result) * (_EPS * 16 + error * 6)
        if name == "binom":
            n, k = (a.real for a, _ in arguments)
            result = math.gamma(n + 1) / (math.gamma(k + 1) * math.gamma(n - k + 1))
            return complex(result), abs(result) * 1e-13
        raise Unknown
    simple = _SIMPLE.get(name)
    if simple is not None:
        if len(arguments) != 1:
            raise Unknown
        x = _exact_zero_imaginary(x, error)
        found = simple(x)
        step = 1e-6 * max(abs(x), 1e-3)
        slope = abs(simple(x + step) - found) / step
        return found, 2 * slope * error + (abs(found) + abs(x) * slope) * _EPS * 2
    return _uninterpreted(name, arguments)


def _uninterpreted(name: str, arguments: list[Approx]) -> Approx:
    """A function nobody defined: an arbitrary value that depends on its arguments only."""
    if name in ("det", "tr", "gcd", "lcm", "max", "min", "mod", "norm", "builder", "rank", "dim"):
        raise Unknown
    key = name
    for x, error in arguments:
        if error > 1e-9 * max(abs(x), 1.0):
            raise Unknown
        key += f"/{x.real + 0.0:.7g},{x.imag + 0.0:.7g}" if abs(x.imag) > 1e-9 else f"/{x.real + 0.0:.7g}"
    return complex(0.2 + crc32(key.encode()) % 1_000_003 / 300_007), 0.0


def _big(node: Node, at: Mapping[str, complex]) -> Approx:
    _, name, low, high, body = node
    if name not in ("sum", "prod") or low is None or high is None or low[0] != "rel" or low[1] != ("=",):
        raise Unknown
    variable, start = low[2]
    index = "i" if variable == ("const", "i") else variable[1] if variable[0] == "sym" else None
    if index is None:
        raise Unknown
    (first, _), (last, _) = _value(start, at), _value(high, at)
    begin, end = round(first.real), round(last.real)
    if first != begin or last != end or end - begin > _most_terms(body):
        raise Unknown
    if index == "i":
        body = _renamed(body)
    total, error = (0j, 0.0) if name == "sum" else (1 + 0j, 0.0)
    for step in range(begin, end + 1):
        v, e = _value(body, {**at, index: complex(step)})
        if name == "sum":
            total, error = total + v, error + e + abs(v) * _EPS
        else:
            total, error = total * v, abs(total) * e + abs(v) * error + abs(total * v) * _EPS
    return total, error


def _most_terms(body: Node) -> int:
    """How many terms of a sum may be added up here; sums in sums multiply, so they get fewer."""
    nested, size = _sums(body)
    return min(500, 10_000 // size) if not nested else min(20, 1_000 // size) if nested == 1 else -1


def _sums(node: Node) -> tuple[int, int]:
    """How many sums a tree holds, and how many nodes."""
    found = [_sums(part) for part in parts(node)]
    return (node[0] == "big") + sum(n for n, _ in found), 1 + sum(n for _, n in found)


def _renamed(node: Node) -> Node:
    if node == ("const", "i"):
        return ("sym", "i")
    return tuple(_renamed(item) if isinstance(item, tuple) and item else item for item in node)
