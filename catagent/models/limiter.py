"""How fast one key may be asked: adaptive concurrency, adaptive pace, requests and tokens a minute.

One limiter serves one key `(provider, base URL, account, model)` and is shared by all roles; a lease is
held for one attempt. Nothing has to be configured: concurrency starts low and doubles while it is
used up, and the first refusals (429) show what the provider allows.

Two controllers share the work, since a provider may count what is in flight or what comes in a second:

- `Concurrency` bounds requests in flight. Additive increase, multiplicative decrease; for a server
  that queues instead of refusing, growth stops where more in flight brings no more throughput.
- `Pace` bounds requests a second once a provider has refused: set a little under the rate it accepted,
  raised slowly while nothing is refused and ever faster the longer that lasts, as far as it is used.

A refusal is charged to the pace when the pace was what held the request back, else to the
concurrency; only refusals of requests sent after the last cut count, so a burst of refusals cuts once.
Refusals that a slower pace does not make rarer come by `Chance`, and are not charged to anything.
`Retry-After` delays its own request and never these controllers.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from asyncio_throttle import Throttler

from catagent.errors import RateLimitError
from catagent.models.pace import Pace, Request

__all__ = ["Concurrency", "Lease", "Limiter", "LimiterState", "Limits"]

_CUT = 0.8
_COOLDOWN = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of a key beforehand. `None` means that it is to be found out.

    `start` and `max_concurrency` are requests in flight, `rpm` requests a minute, `tpm` tokens a
    minute. `queues` marks servers that queue instead of refusing (local ones).
    """

    start: int = 16
    max_concurrency: int = 512
    rpm: int | None = None
    tpm: int | None = None
    queues: bool = False


class LimiterState(NamedTuple):
    """What a limiter does at present, for people to look at."""

    in_flight: int
    waiting: int
    concurrency: float
    pace: float | None
    by_chance: float = 0.0
    """Of all requests, the part that the provider refuses however slowly it is asked."""


class Concurrency:
    """How many requests may be in flight."""

    def __init__(self, limits: Limits) -> None:
        self.limit = float(min(limits.start, limits.max_concurrency))
        self._max = limits.max_concurrency
        self._queues = limits.queues
        self._slow_start = True
        self._cut_at = 0.0
        self._round_began = 0.0
        self._round_count = 0
        self._round_limit = self.limit
        self._best_rate = 0.0
        self._hold_until = 0.0

    def succeeded(self, now: float, *, saturated: bool) -> None:
        """A request came back. `saturated`: it took the last free slot when it was sent."""
        if self._queues and self._levelled_off(now):
            return
        if not saturated or now < self._hold_until:
            return
        step = 1.0 if self._slow_start else (1.0 + (now - self._cut_at)) / self.limit
        self.limit = min(self.limit + step, float(self._max))

    def refused(self, now: float, in_flight: int) -> None:
        """The provider refused: cut once."""
        self.limit = max(1.0, min(self.limit, in_flight) * _CUT)
        self._slow_start = False
        self._cut_at = now

    def _levelled_off(self, now: float) -> bool:
        """Whether a round at a higher limit brought no more throughput; then go back and hold."""
        if self._round_began == 0.0:
            self._round_began = now
        self._round_count += 1
        if self._round_count < max(8, int(self._round_limit)):
            return False
        rate = self._round_count / max(now - self._round_began, 1e-6)
        grew = self.limit >= 1.5 * self._round_limit
        levelled = grew and rate < 1.1 * self._best_rate
        if levelled:
            self.limit = max(1.0, self._round_limit)
            self._slow_start = False
            self._cut_at = now
            self._hold_until = now + 30.0
        if grew or rate > self._best_rate:
            self._best_rate = max(self._best_rate, rate) if grew else rate
            self._round_limit = self.limit
        self._round_began, self._round_count = now, 0
        return levelled


class _TokenBucket:
    """Tokens a minute: refills steadily, goes into debt by what was underestimated."""

    def __init__(self, per_minute: int) -> None:
        self._capacity = float(per_minute)
        self._level = float(per_minute)
        self._at = time.monotonic()

    async def take(self, tokens: int) -> None:
        wanted = min(float(tokens), self._capacity)
        while True:
            now = time.monotonic()
            self._level = min(self._capacity, self._level + (now - self._at) * self._capacity / 60)
            self._at = now
            if self._level >= wanted:
                self._level -= tokens
                return
            await asyncio.sleep((wanted - self._level) * 60 / self._capacity)

    def correct(self, tokens: float) -> None:
        self._level = min(self._capacity, self._level + tokens)


class Limiter:
    """The gate in front of one key. Use `async with limiter.lease(tokens) as lease`, once an attempt."""

    def __init__(self, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.concurrency = Concurrency(limits)
        self.pace = Pace()
        self._rpm = Throttler(limits.rpm, 60.0, 0.02) if limits.rpm else None
        self._tokens = _TokenBucket(limits.tpm) if limits.tpm else None
        self._head = asyncio.Lock()
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._held = 0
        self._sent = 0
        self._last_cut = 0.0
        self.accepted_at = 0.0
        """When a request was last accepted (`time.monotonic()`)."""

    @property
    def state(self) -> LimiterState:
        """What the limiter does at present."""
        pace = self.pace.at(time.monotonic())
        return LimiterState(self._sent, len(self._waiters), self.concurrency.limit, pace, self.by_chance)

    @property
    def by_chance(self) -> float:
        """See `LimiterState.by_chance`."""
        return self.pace.chance.share

    def lease(self, tokens: int = 0) -> Lease:
        """Leave to send one request of about `tokens` tokens."""
        return Lease(self, tokens)

    async def _enter(self, lease: Lease) -> None:
        if self._held >= int(self.concurrency.limit) or self._waiters:
            await self._queue()
        else:
            self._held += 1
        try:
            if self.pace.active or self._rpm or self._tokens:
                behind = self._head.locked()
                async with self._head:  # one waiter polls, however many wait
                    lease.paced = await self.pace.wait() or (behind and self.pace.active)
                    if self._rpm:
                        await self._rpm.acquire()
                    if self._tokens:
                        await self._tokens.take(lease.tokens)
        except BaseException:
            self._release()
            raise
        lease.sent_at = time.monotonic()
        self._sent += 1
        lease.saturated = self._sent >= int(self.concurrency.limit)
        lease.request = self.pace.sent(lease.sent_at)

    async def _queue(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._release()  # the slot came as the waiter left: hand it on
            self._waiters.pop(waiter, None)
            raise

    def _release(self) -> None:
        self._held -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiters and self._held < int(self.concurrency.limit):
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                self._held += 1
                waiter.set_result(None)

    def _exit(self, lease: Lease, error: BaseException | None) -> None:
        now = time.monotonic()
        in_flight, self._sent = self._sent, self._sent - 1
        if self._tokens and lease.used is not None:
            self._tokens.correct(lease.tokens - lease.used)
        if error is None:
            self.accepted_at = now
            self.pace.came_back(lease.request, now, refused=False)
            self.concurrency.succeeded(now, saturated=lease.saturated)
        elif isinstance(error, RateLimitError):
            self.pace.came_back(lease.request, now, refused=True)
            if lease.sent_at >= self._last_cut and now - self._last_cut >= _COOLDOWN:
                self._last_cut = now
                if self.pace.refused(now, lease.sent_at, paced=lease.paced) and not lease.paced:
                    self.concurrency.refused(now, in_flight)
        self._release()


class Lease:
    """Leave to send one request; tell it in `used` how many tokens that took."""

    __slots__ = ("_limiter", "paced", "request", "saturated", "sent_at", "ticket", "tokens", "used")

    def __init__(self, limiter: Limiter, tokens: int) -> None:
        self._limiter = limiter
        self.tokens = tokens
        self.used: int | None = None
        self.sent_at = 0.0
        self.saturated = False
        self.paced = False
        self.request = Request(0.0)
        self.ticket = (0, 0)
        """Of a limiter that asks elsewhere: the request's number, and the cuts it was sent under."""

    async def __aenter__(self) -> Lease:
        await self._limiter._enter(self)  # noqa: SLF001 - a lease is the limiter's own half
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._limiter._exit(self, error)  # noqa: SLF001
