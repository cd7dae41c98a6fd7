"""Tokens of a cleaned answer, and the tree nodes that single tokens make."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

__all__ = [
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MINUS",
    "ONE",
    "Node",
    "Unreadable",
    "negated",
    "number",
    "repeating",
    "times",
    "tokens_of",
]

Node = tuple[Any, ...]
MAX_DEPTH = 60
MAX_LENGTH = 20_000
_TOKEN = re.compile(
    r"(?P<num>(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+|\.(?![.\d]))?(?:[eE][+-]?\d+(?![\w.]))?|\.\d+(?:[eE][+-]?\d+(?![\w.]))?)"
    r"|(?P<text>\\(?:text|mathrm)\s*\{(?P<inside>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\})"
    r"|(?P<cmd>\\[A-Za-z]+|\\.)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<op><=|>=|!=|==|=<|=>|<>|:=|.)"
    r"|(?P<space>\s+)",
    re.DOTALL,
)
ONE: Node = ("num", Fraction(1))
MINUS: Node = ("num", Fraction(-1))


class Unreadable(Exception):
    """The text is not in the grammar, or too long or too deep to read."""


def tokens_of(text: str, thousands: bool) -> list[tuple[str, str, bool]]:
    """Kind, spelling and "stands after a space" of each token; separators of thousands kept in numbers."""
    tokens: list[tuple[str, str, bool]] = []
    depth = at = 0
    spaced = False
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        kind, value = str(match.lastgroup), match[0]
        if kind == "inside" or match["text"] is not None:
            kind, value = "text", match["inside"]
        if kind == "num" and "," in value and (depth or not thousands or value[0] == "0"):
            value = value[: value.index(",")]
            at += len(value)
        else:
            at = match.end()
        if value.isspace() and kind != "text":
            spaced = True
            continue
        if value in ("(", "[", r"\{", r"\langle"):
            depth += 1
        elif value in (")", "]", r"\}", r"\rangle"):
            depth -= 1
        tokens.append((kind, value, spaced))
        spaced = False
    return tokens


def number(literal: str) -> Node:
    """A `num` or `dec` node from digits, separators dropped. Long integers are read in pieces."""
    literal = literal.replace(",", "").rstrip(".")
    mantissa, _, exponent = literal.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    digits = whole + decimals
    value = Fraction(_integer(digits or "0"))
    power = int(exponent) if exponent and len(exponent) < 6 else 0
    if exponent and len(exponent) >= 6:
        raise Unreadable("exponent")
    if abs(power) > 5000:
        raise Unreadable("exponent")
    shift = power - len(decimals)
    value = value * 10**shift if shift >= 0 else value / 10**-shift
    if not decimals and not exponent:
        return ("num", value)
    return ("dec", value, Fraction(10) ** shift, len(digits.lstrip("0")))


def repeating(literal: str, period: str) -> Node:
    """The value of a decimal whose last digits repeat for ever."""
    if not period.isdecimal() or len(period) > 1000:
        raise Unreadable("period")
    base: Fraction = number(literal)[1]
    decimals = len(literal.partition(".")[2])
    return ("num", base + Fraction(_integer(period), (10 ** len(period) - 1) * 10**decimals))


def _integer(digits: str) -> int:
    if len(digits) <= 4000:
        return int(digits)
    half = len(digits) // 2
    shift: int = 10 ** (len(digits) - half)
    return _integer(digits[:half]) * shift + _integer(digits[half:])


def negated(node: Node) -> Node:
    """The node with its sign turned; literals stay literals."""
    if node[0] == "num":
        return ("num", -node[1])
    if node[0] == "dec":
        return ("dec", -node[1], node[2], node[3])
    if node[0] in ("pct", "deg"):
        return (node[0], negated(node[1]))
    if node[0] == "unit":
        return ("unit", negated(node[1]), node[2])
    return ("mul", (MINUS, node))


def times(left: Node, right: Node) -> Node:
    """A product, flattened on the left."""
    if left[0] == "unit":
        return ("unit", times(left[1], right), left[2])
    if left[0] == "mul":
        return ("mul", (*left[1], right))
    return ("mul", (left, right))


class _Cursor:
    """A place in a list of tokens, and what may be asked there."""

    def __init__(self, tokens: list[tuple[str, str, bool]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0

    # token access

    def peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        if index >= len(self.tokens):
            return ""
        kind, value, _ = self.tokens[index]
        return "\\text" if kind == "text" else value

    def kind(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index][0] if index < len(self.tokens) else "end"

    def spaced(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][2]

    def take(self) -> str:
        value = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        self.at += 1
        return value

    def skip(self, value: str) -> bool:
        if self.peek() == value:
            self.at += 1
            return True
        return False

    def expect(self, *values: str) -> str:
        if self.peek() not in values:
            raise Unreadable(f"expected {values}")
        return self.take()
