"""A provider in virtual time, with the double's own limits and no wire."""

from __future__ import annotations

import asyncio
import random

from catagent.models.client import Choice, Completion, ModelRequest, OnDelta
from catagent.models.refusals import refusal
from tests.doubles.limits import Limit

__all__ = ["Simulated"]


class Simulated:
    """A client whose requests take about `latency` seconds; counts what it meets."""

    def __init__(self, limits: list[Limit], latency: float) -> None:
        self.limits, self.latency = limits, latency
        self.sent = self.in_flight = self.most = 0
        self.draw = random.Random(1)

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        self.sent += 1
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        entered: list[Limit] = []
        try:
            await asyncio.sleep(0.001)
            for limit in self.limits:
                if (fault := await limit.enter({})) is not None:
                    assert fault.status is not None
                    headers = {name.lower(): value for name, value in fault.headers.items()}
                    raise refusal(fault.status, fault.body, headers, model="m", where="simulated")
                entered.append(limit)
            await asyncio.sleep(self.latency * self.draw.uniform(0.7, 1.3))
            return Completion((Choice("x"),), 1, 1)
        finally:
            self.in_flight -= 1
            for limit in entered:
                limit.leave()

    async def aclose(self) -> None:
        """Nothing is open."""
