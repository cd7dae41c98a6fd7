"""How a provider defends itself: rate limits, slots and storms; and how long it takes to answer."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

from tests.doubles.faults import Fault
from tests.doubles.protocol import Body

__all__ = ["ConcurrencyLimit", "Jitter", "Limit", "RateLimit", "Storm"]

RetryForm = Literal["seconds", "ms", "date", "both"]


class Limit(Protocol):
    """A limit is asked before a request is worked on and told when it left."""

    async def enter(self, body: Body) -> Fault | None: ...

    def leave(self) -> None: ...

    def headers(self) -> Mapping[str, str]: ...


def one(_: Body) -> float:
    return 1.0


class RateLimit:
    """Refuses with 429 what exceeds a rate.

    `bucket` refills continuously and holds `burst` (default: one window's worth); `sliding` looks back
    over the last `window` seconds; `fixed` counts in windows that start at whole multiples of `window`.
    `cost` weighs a request (tokens, say). With `retry_form=None` the refusal does not say how long.
    """

    def __init__(
        self,
        per_second: float,
        *,
        kind: Literal["bucket", "sliding", "fixed"] = "bucket",
        window: float = 1.0,
        burst: float | None = None,
        retry_form: RetryForm | None = "seconds",
        cost: Callable[[Body], float] = one,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.capacity = burst if kind == "bucket" and burst is not None else per_second * window
        self.per_second = per_second
        self.kind = kind
        self.window = window
        self.retry_form = retry_form
        self.refused = 0
        self.admitted = 0
        self.cost = cost
        self.clock = clock
        self._spent: deque[tuple[float, float]] = deque()
        self._used = 0.0
        self._at = clock()

    def wait(self, weight: float) -> float:
        """Seconds until `weight` fits; 0 if it fits now."""
        now = self.clock()
        if self.kind == "bucket":
            self._used = max(0.0, self._used - (now - self._at) * self.per_second)
            self._at = now
            return max(0.0, (self._used + weight - self.capacity) / self.per_second)
        if self.kind == "fixed":
            if now // self.window != self._at // self.window:
                self._used = 0.0
            self._at = now
            return 0.0 if self._used + weight <= self.capacity else self.window - now % self.window
        while self._spent and self._spent[0][0] <= now - self.window:
            self._used -= self._spent.popleft()[1]
        over = self._used + weight - self.capacity
        if over <= 0:
            return 0.0
        freed = 0.0
        for at, spent in self._spent:
            freed += spent
            if freed >= over:
                return at + self.window - now
        return self.window

    async def enter(self, body: Body) -> Fault | None:
        weight = self.cost(body)
        wait = self.wait(weight)
        if wait > 1e-9:
            self.refused += 1
            form = self.retry_form
            return Fault.rate_limited(wait if form else None, form=form or "seconds")
        self.admitted += 1
        self._used += weight
        if self.kind == "sliding":
            self._spent.append((self.clock(), weight))
        return None

    def leave(self) -> None:
        return None

    def headers(self) -> Mapping[str, str]:
        remaining = max(0, int(self.capacity - self._used))
        return {
            "x-ratelimit-limit-requests": str(int(self.capacity)),
            "x-ratelimit-remaining-requests": str(remaining),
            "x-ratelimit-reset-requests": f"{int(1000 / self.per_second)}ms",
        }


class ConcurrencyLimit:
    """`slots` requests at a time. The next ones are refused, or wait their turn as on a local server."""

    def __init__(self, slots: int, *, queue: bool = False, retry_after: float | None = None) -> None:
        self.slots = slots
        self.queue = queue
        self.retry_after = retry_after
        self.refused = 0
        self.waiting = 0
        self.max_waiting = 0
        self._running = 0
        self._turns: deque[asyncio.Future[None]] = deque()

    async def enter(self, body: Body) -> Fault | None:
        if self._running < self.slots:
            self._running += 1
            return None
        if not self.queue:
            self.refused += 1
            return Fault.rate_limited(self.retry_after)
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        self.waiting += 1
        self.max_waiting = max(self.max_waiting, self.waiting)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise
        finally:
            self.waiting -= 1
        return None

    def leave(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def headers(self) -> Mapping[str, str]:
        return {}


class Storm:
    """For `seconds` from the first request on, or for the first `requests`, each is refused with this
    probability.
    """

    def __init__(
        self,
        seconds: float | None = None,
        probability: float = 0.5,
        *,
        requests: int | None = None,
        seed: int = 0,
        retry_after: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds = seconds
        self.requests = requests
        self.probability = probability
        self.retry_after = retry_after
        self.refused = 0
        self._met = 0
        self._draw = random.Random(seed)
        self._clock = clock
        self._start: float | None = None

    async def enter(self, body: Body) -> Fault | None:
        now = self._clock()
        self._start = now if self._start is None else self._start
        over = self.seconds is not None and now - self._start >= self.seconds
        over = over or (self.requests is not None and self._met >= self.requests)
        self._met += 1
        if not over and self._draw.random() < self.probability:
            self.refused += 1
            return Fault.rate_limited(self.retry_after)
        return None

    def leave(self) -> None:
        return None

    def headers(self) -> Mapping[str, str]:
        return {}


class Jitter:
    """Latency in seconds: log-normal round `median`, from a seed. Call it once a request."""

    def __init__(self, median: float, *, sigma: float = 0.5, seed: int = 0) -> None:
        self.median = median
        self.sigma = sigma
        self._draw = random.Random(seed)

    def __call__(self, in_flight: int) -> float:
        return self.median * self._draw.lognormvariate(0.0, self.sigma)
