"""The slow leaves: high precision and SymPy, in a worker process only."""

from __future__ import annotations

from typing import Any

import sympy

from .comparison import Leaves
from .judging import judge
from .rules import Rules

__all__ = ["decide"]


def decide(a: str, b: str, rules: dict[str, Any]) -> bool | None:
    """The verdict on two texts."""
    assert sympy
    return judge(a, b, Leaves(Rules(**rules)))
