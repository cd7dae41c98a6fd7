"""How many rows are under way: as many as the limiters have an appetite for.

There is no batch size. A row is let in while the requests that wait are fewer than what may be in flight,
so that a free slot always finds a request, and no more rows are held in memory than that takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from catagent.models.limiter import Limiter

__all__ = ["Window"]

_LEAST = 16


class Window:
    """Says whether there is room for one more row. `limiters` are those of all roles.

    Where requests wait for a day in provider batches, limiters say nothing: then `most` rows are let in.
    """

    def __init__(self, limiters: Sequence[Limiter], most: int | None = None) -> None:
        self._limiters = tuple(limiters)
        self._most = most

    def admits(self, rows: int) -> bool:
        """Whether to begin another row when `rows` are under way."""
        if self._most is not None:
            return rows < self._most
        allowed, waiting = 0, 0
        for limiter in self._limiters:
            state = limiter.state
            allowed += int(state.concurrency)
            waiting += state.waiting
        return rows < _LEAST + 2 * allowed and waiting <= allowed
