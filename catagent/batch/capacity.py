"""How many rows a day a job can do: what bounds it, in one formula."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Capacity"]

_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Capacity:
    """A row sends `requests` requests in `stages` that wait for one another, each of `latency` seconds.

    `rpm` and `slots` are what the provider allows, in requests a minute and in flight at once; a worker has
    `rows` rows under way (`block` times `blocks`). `None` is no bound.
    """

    latency: float
    requests: float
    stages: int = 2
    workers: int = 1
    rows: int = 256
    rpm: float | None = None
    slots: int | None = None

    @property
    def bounds(self) -> dict[str, float]:
        """Rows a second, by each bound alone."""
        found = {"workers": self.workers * self.rows / (self.stages * self.latency)}
        if self.rpm is not None:
            found["rate"] = self.rpm / 60 / self.requests
        if self.slots is not None:
            found["slots"] = self.slots / (self.requests * self.latency)
        return found

    @property
    def bound(self) -> str:
        """The bound that counts."""
        return min(self.bounds, key=lambda name: self.bounds[name])

    @property
    def rows_a_second(self) -> float:
        """Rows a second."""
        return self.bounds[self.bound]

    @property
    def rows_a_day(self) -> int:
        """Rows a day."""
        return math.floor(self.rows_a_second * _DAY)
