"""Sets of real numbers: intervals, unions and inequalities in one normal form.

A region is a list of pieces in rising order that do not touch. An end is a tree with its float, so that
order is decided by the float and equality by exact comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from .reader import Node, negated
from .values import Unknown, exact, free_symbols, parts, value

__all__ = ["EVERYTHING", "End", "Piece", "Region", "region_of", "same_region", "substituted"]

_SAME = 1e-9


@dataclass(frozen=True, slots=True)
class End:
    """One end of a piece: its float for the order, its tree for equality (`None` at infinity)."""

    at: float
    node: Node | None
    open: bool


Piece = tuple[End, End]
Region = list[Piece]
_LOW = End(-math.inf, None, True)
_HIGH = End(math.inf, None, True)
EVERYTHING: Region = [(_LOW, _HIGH)]


def _end(node: Node, is_open: bool) -> End | None:
    sign = 1.0
    if node[0] == "mul" and len(node[1]) == 2 and node[1][0][0] == "num":
        sign = math.copysign(1.0, node[1][0][1])
        if node[1][1] == ("const", "inf"):
            return End(sign * math.inf, None, True)
    if node == ("const", "inf"):
        return End(math.inf, None, True)
    try:
        try:
            number = float(exact(node))
        except Unknown:
            if free_symbols(node):
                return None
            approx, error = value(node, {})
            if abs(approx.imag) > 1e-9 + error:
                return None
            number = approx.real
    except (Unknown, OverflowError):
        return None
    return End(number, node, is_open)


def region_of(node: Node) -> Region | None:
    """The region a tree describes, or `None` if it is none or not a plain one.

    A pair in round brackets is an open interval, one in square brackets a closed one.
    """
    kind = node[0]
    if kind == "interval":
        return _interval(node[1], node[2], node[3], node[4])
    if kind in ("paren", "brack") and len(node[1]) == 2:
        return _interval(node[1][0], node[1][1], kind == "paren", kind == "paren")
    if kind == "set":
        points = [_end(item, False) for item in node[1]]
        if any(p is None for p in points):
            return None
        return _normal([(p, p) for p in points if p is not None])
    if kind in ("union", "inter", "minus"):
        left, right = region_of(node[1][0]), region_of(node[1][1])
        if left is None or right is None:
            return None
        if kind == "union":
            return _normal(left + right)
        return _intersection(left, right if kind == "inter" else _complement(right))
    if node == ("const", "reals"):
        return EVERYTHING
    if kind == "rel":
        return _relation(node[1], node[2])
    if kind in ("and", "or"):
        return _combined(node)
    return None


def _interval(low: Node, high: Node, low_open: bool, high_open: bool) -> Region | None:
    a, b = _end(low, low_open), _end(high, high_open)
    if a is None or b is None or a.at > b.at:
        return None
    return [] if a.at == b.at and (a.open or b.open) else [(a, b)]


def _combined(node: Node) -> Region | None:
    names = {_variable(item) for item in node[1]}
    if len(names) != 1 or None in names:
        return None
    regions = [region_of(item) for item in node[1]]
    result = regions[0]
    for region in regions[1:]:
        if result is None or region is None:
            return None
        result = _normal(result + region) if node[0] == "or" else _intersection(result, region)
    return result


def _variable(node: Node) -> str | None:
    names = free_symbols(node)
    return next(iter(names)) if len(names) == 1 else None


def _relation(operators: tuple[str, ...], sides: tuple[Node, ...]) -> Region | None:
    if operators == ("in",):
        return region_of(sides[1]) if sides[0][0] in ("sym", "fn") else None
    result: Region = EVERYTHING
    for operator, left, right in zip(operators, sides, sides[1:], strict=False):
        one = _comparison(operator, left, right)
        if one is None:
            return None
        result = _intersection(result, one)
    return result


_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}


def _comparison(operator: str, left: Node, right: Node) -> Region | None:
    if operator not in _FLIPPED:
        return None
    if not _has_atom(left):
        left, right, operator = right, left, _FLIPPED[operator]
    if not _has_atom(right) and _is_atom(left):
        if left[0] == "fn" and left[1] == "abs":
            below = _comparison(operator, ("sym", "x"), right)
            if below is None or not _is_atom(left[2][0]):
                return None
            positive = _intersection(below, [(End(0.0, ("num", Fraction(0)), False), _HIGH)])
            return _normal(positive + [(_mirrored(b), _mirrored(a)) for a, b in positive])
        return _beyond(operator, right)
    return _linear(operator, left, right)


def _beyond(operator: str, bound: Node) -> Region | None:
    end = _end(bound, operator in ("<", ">"))
    if end is None:
        return None
    if math.isinf(end.at):
        return EVERYTHING if operator == ("<" if end.at > 0 else ">") else None
    if operator in ("<", "<="):
        return [(_LOW, end)]
    if operator in (">", ">="):
        return [(end, _HIGH)]
    return _complement([(end, end)]) if operator == "!=" else [(end, end)]


def _linear(operator: str, left: Node, right: Node) -> Region | None:
    """The solution of a comparison that is linear in its one variable, by its values at a few integers."""
    difference: Node = ("add", (left, negated(right)))
    names = free_symbols(difference)
    if len(names) != 1:
        return None
    (name,) = names
    probes = (0, 1, 2, 3, 7, -5, 11)
    try:
        values = [exact(substituted(difference, name, ("num", Fraction(p)))) for p in probes]
    except Unknown:
        return None
    slope = values[1] - values[0]
    if not slope or any(v != values[0] + slope * p for v, p in zip(values, probes, strict=True)):
        return None
    return _beyond(operator if slope > 0 else _FLIPPED[operator], ("num", -values[0] / slope))


def substituted(node: Node, name: str, by: Node) -> Node:
    """The tree with a variable replaced."""
    if node == ("sym", name):
        return by
    return tuple(substituted(item, name, by) if isinstance(item, tuple) and item else item for item in node)


def _has_atom(node: Node) -> bool:
    return _is_atom(node) or any(map(_has_atom, parts(node)))


def _is_atom(node: Node) -> bool:
    if node[0] == "sym":
        return True
    return (
        node[0] == "fn"
        and (node[1] == "abs" or len(node[1]) == 1 or node[1].endswith("_"))
        and any(map(_has_atom, node[2]))
    )


def _mirrored(end: End) -> End:
    return End(-end.at, None if end.node is None else negated(end.node), end.open)


def _near(a: float, b: float) -> bool:
    return a == b or (math.isfinite(a - b) and abs(a - b) <= _SAME * max(abs(a), abs(b)))


def _normal(pieces: Sequence[Piece]) -> Region:
    """Sorted and merged."""
    result: Region = []
    for low, high in sorted(pieces, key=lambda piece: (piece[0].at, piece[0].open)):
        if result:
            last_low, last_high = result[-1]
            touches = low.at < last_high.at or (
                _near(low.at, last_high.at) and not (low.open and last_high.open)
            )
            if (touches and math.isfinite(low.at)) or low.at == -math.inf:
                if (high.at > last_high.at and not _near(high.at, last_high.at)) or (
                    _near(high.at, last_high.at) and last_high.open and not high.open
                ):
                    result[-1] = (last_low, high)
                continue
        result.append((low, high))
    return result


def _complement(region: Region) -> Region:
    result: Region = []
    low = _LOW
    for a, b in region:
        if a.at > -math.inf and not (_near(a.at, low.at) and (low.open or not a.open)):
            result.append((low, End(a.at, a.node, not a.open)))
        low = End(b.at, b.node, not b.open) if b.at < math.inf else _HIGH
    if low.at < math.inf:
        result.append((low, _HIGH))
    return result


def _intersection(a: Region, b: Region) -> Region:
    result: Region = []
    for low_a, high_a in a:
        for low_b, high_b in b:
            low = max(low_a, low_b, key=lambda end: (end.at, end.open))
            high = min(high_a, high_b, key=lambda end: (end.at, not end.open))
            if low.at < high.at or (_near(low.at, high.at) and not low.open and not high.open):
                result.append((low, high))
    return _normal(result)


def same_region(a: Region, b: Region, same: Callable[[Node, Node], bool | None]) -> bool | None:
    """Whether two regions have the same pieces; `same` compares two finite ends."""
    if len(a) != len(b):
        return False
    verdict: bool | None = True
    for piece_a, piece_b in zip(a, b, strict=True):
        for x, y in zip(piece_a, piece_b, strict=True):
            if x.open != y.open:
                return False
            if x.node is None or y.node is None:
                if x.at != y.at:
                    return False
                continue
            one = same(x.node, y.node)
            if one is False:
                return False
            verdict = None if one is None else verdict
    return verdict
