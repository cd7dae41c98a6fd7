"""Texts of a model on their way to a page: bounded, with nothing in them that a reader does not see."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from catagent.agents.fencing import INVISIBLE, shortened

__all__ = ["bounded", "units", "visible"]

_JOINERS = frozenset("\u200c\u200d\ufe0e\ufe0f")
_DEEPEST = 12
_MOST = 1000


def visible(text: str) -> str:
    """`text` with hidden characters as their numbers, `[U+202E]`; joiners of scripts and emoji stay.

    Each character is replaced by itself or its number, so that pieces can be treated one by one.
    """
    return INVISIBLE.sub(_number, text)


def _number(match: re.Match[str]) -> str:
    return match[0] if match[0] in _JOINERS else f"[U+{ord(match[0]):04X}]"


def units(text: str) -> int:
    """The length of `text` as JavaScript counts it (UTF-16 code units)."""
    return len(text) + sum(character > "\uffff" for character in text)


def bounded(value: Any, characters: int, depth: int = 0) -> Any:
    """`value` as JSON that a page may hold: texts visible and cut in the middle to about `characters`,
    lists cut to a thousand entries, numbers that JSON does not have as `None`.
    """
    if isinstance(value, str):
        return visible(shortened(value, characters))
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)[:64]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= _DEEPEST:
        return "[…]"
    if isinstance(value, Mapping):
        some = list(value.items())[:_MOST]
        return {visible(str(k)[:200]): bounded(v, characters, depth + 1) for k, v in some}
    if isinstance(value, list | tuple):
        return [bounded(one, characters, depth + 1) for one in value[:_MOST]]
    return visible(shortened(str(value), characters))
