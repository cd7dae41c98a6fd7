"""The house rules: where graders disagree, what is held to be the same answer.

Each field is one disagreement between public graders; `docs/answers.md` shows an example of each.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

__all__ = ["DEFAULT_RULES", "Rules"]


@dataclass(frozen=True)
class Rules:
    """What counts as the same answer. Frozen, so that it can be part of a configuration's hash."""

    percent: Literal["either", "value", "bare"] = "either"
    """`28%` against a bare number: `value` is 0.28, `bare` is 28, `either` takes both."""
    degrees: Literal["either", "value", "bare"] = "either"
    """`90°` against a bare number: `value` is pi/2, `bare` is 90, `either` takes both."""
    digits: int = 6
    """Significant digits from which a decimal stands for the number it is the rounding of."""
    noise: float = 1e-9
    """Relative difference that is always forgiven when a decimal is involved (binary floating point)."""
    drop_units: bool = True
    """`15 cm` equals `15`: a unit on one side only is dropped. Two units are compared, never dropped."""
    drop_base: bool = False
    """`52_8` equals `52`: a base on one side only is dropped instead of read (`52_8` is 42)."""
    assignments: bool = True
    """`x = 5` equals `5`: the name on the left of an answer may be missing on one side."""
    ordered_lists: bool = False
    """Whether the order matters in a list without brackets, such as `1, -2`."""
    sets_as_lists: bool = True
    """`{1, 2}` equals `1, 2`."""
    tuples_as_lists: bool = True
    """`(1, 2)` equals `1, 2` when the order is the same."""
    vectors_as_tuples: bool = True
    """A row or a column of a matrix equals the tuple of its entries."""
    relations_as_sets: bool = True
    """`0 < x < 1` equals the interval `(0, 1)`."""
    case_sensitive: bool = False
    """Whether the case of words matters. That of one-letter variables always does."""
    number_words: bool = True
    """`seven` equals `7`."""

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)


DEFAULT_RULES = Rules()
