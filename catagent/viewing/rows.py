"""What the page shows one of: a solution, and what is known about it beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from catagent.messages import Solution

__all__ = ["Row"]


@dataclass(frozen=True, slots=True)
class Row:
    """A solution as an entry of the page's list.

    `gold` is the answer that is known to be right, and `correct` says of each method (a name of the caller's)
    whether its reference was right, `None` where nobody knows; both are shown and can be filtered by. They
    live here because gold labels have no place in a `Solution`. `group` is a name that rows share.
    """

    id: str
    solution: Solution
    gold: str | None = None
    correct: Mapping[str, bool | None] = field(default_factory=dict)
    group: str = ""
