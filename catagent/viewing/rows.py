"""What the page shows one of: a solution, and what is known about it beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from catagent.messages import Reference, Solution

__all__ = ["MethodReference", "Row"]


@dataclass(frozen=True, slots=True)
class MethodReference:
    """What one method made of the rollouts of a row.

    `method` is the caller's name for it (`reference.method` is what it was in the end). `reference` is `None`
    where the method failed, and `error` says why there is none or why it does not count. `score` is its value
    where that is more than right or wrong, which `Row.correct` says.
    """

    method: str
    reference: Reference | None = None
    score: float | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A solution as an entry of the page's list.

    `gold` is the answer that is known to be right, and `correct` says of each method (a name of the caller's)
    whether its reference was right, `None` where nobody knows; both are shown and can be filtered by. They
    live here because gold labels have no place in a `Solution`. `group` is a name that rows share.

    `references` are those of several methods on these rollouts, the one to open first in front. Where there
    are any they stand in the place of `solution.reference`, which the list and its filters go by.
    """

    id: str
    solution: Solution
    gold: str | None = None
    correct: Mapping[str, bool | None] = field(default_factory=dict)
    group: str = ""
    references: Sequence[MethodReference] = ()
