"""Decides what has no parts: numbers, equations, sets described by relations."""

from __future__ import annotations

from .lexing import Node
from .numbers import same_number, zeros_differ
from .regions import Region, region_of
from .rules import Rules

__all__ = ["Leaves"]


class Leaves:
    """Decides what has no parts. This one is cheap and often says `None`."""

    most_items = 40
    """Items of a list without order that are compared each with each."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def numbers(self, a: Node, b: Node) -> bool | None:
        """Whether two scalar expressions are equal."""
        return same_number(a, b, self.rules)

    def equations(self, a: Node, b: Node) -> bool | None:
        """Whether `a = 0` and `b = 0` have the same solutions; both are known not to be multiples."""
        return False if zeros_differ(a, b) else None

    def region(self, node: Node) -> Region | None:
        """The real set a relation describes, where it can be had."""
        return region_of(node)
