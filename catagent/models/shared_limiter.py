"""The limiter of a process that shares its key with others: what may be sent is decided elsewhere, once.

It has the interface of `Limiter` and none of its controllers. It asks an `Allowance` for a share, through
whatever carries reports there, and keeps to that share; when it has nothing to do it gives the share back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TypeAlias

from catagent.errors import RateLimitError
from catagent.models.allowance import Done, Report, Share
from catagent.models.limiter import Lease, Limiter, LimiterState, Limits

__all__ = ["Exchange", "SharedLimiter"]

Exchange: TypeAlias = Callable[[Report], Awaitable[Share]]
"""Carries a report to the allowance and brings the share."""

_CREDIT = 0.05
_SPACING = 0.02


class SharedLimiter(Limiter):
    """A gate like any other. What `exchange` raises is raised from every lease."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__(Limits(start=1))
        self.concurrency.limit = 0.0
        self._exchange = exchange
        self._share: Share | None = None
        self._lapses = 0.0
        self._numbers = count()
        self._news: list[tuple[int, float]] = []
        self._ended: list[tuple[Done, float]] = []
        self._requests = 0
        self._allowed = 0.0
        self._wanted = 0.0
        self._due = 0.0
        self._talking: asyncio.Task[None] | None = None
        self._kick = asyncio.Event()
        self._heard = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def state(self) -> LimiterState:
        """See `Limiter.state`: of this process."""
        pace = self._share.pace if self._share else None
        waiting = self._held - self._sent + len(self._waiters)
        return LimiterState(self._sent, waiting, self.concurrency.limit, pace, self.by_chance)

    @property
    def by_chance(self) -> float:
        """See `LimiterState.by_chance`: of the key, whoever asks."""
        return self._share.by_chance if self._share else 0.0

    async def _enter(self, lease: Lease) -> None:
        if self._failure is not None:
            raise self._failure
        self._talk()
        if self._held >= int(self.concurrency.limit) or self._waiters or self._lapsed():
            self._kick.set()
            await self._queue()
        else:
            self._held += 1
        try:
            if self._head.locked() or self._share is None or self._bounded():
                behind = self._head.locked()
                async with self._head:  # in the order of arrival
                    lease.paced = await self._turn(lease, behind)
        except BaseException:
            self._release()
            raise
        lease.sent_at = time.monotonic()
        self._sent += 1
        lease.saturated = self._sent >= int(self.concurrency.limit)
        number = next(self._numbers)
        lease.ticket = (number, self._share.cuts if self._share else 0)
        self._news.append((number, lease.sent_at))

    def _bounded(self) -> bool:
        share = self._share
        return share is not None and (share.pace, share.requests, share.tokens) != (None, None, None)

    def _lapsed(self) -> bool:
        return time.monotonic() > self._lapses

    async def _turn(self, lease: Lease, behind: bool) -> bool:
        """Wait for the pace, for a request and for the tokens. Returns whether it was the pace."""
        paced = False
        self._wanted = float(lease.tokens)
        while True:
            if self._failure is not None:
                raise self._failure
            share, now = self._share, time.monotonic()
            wait = 60.0
            if share is None or self._lapsed() or self._spent(share, lease.tokens):
                self._kick.set()
            elif share.pace is None:
                break
            elif share.pace > 0:
                due = max(self._due + 1 / share.pace, now - _CREDIT)
                if due <= now:
                    self._due = due
                    break
                paced, wait = True, due - now
            else:
                paced = True
            self._heard.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._heard.wait(), wait)
        self._requests -= share.requests is not None
        if share.tokens is not None:
            self._allowed -= lease.tokens
        self._wanted = 0.0
        return paced or (behind and share.pace is not None)

    def _spent(self, share: Share, tokens: int) -> bool:
        """Whether a new share has to come before a request of so many tokens may be sent."""
        if share.requests is not None and self._requests < 1:
            return True
        return share.tokens is not None and self._allowed < tokens

    def _exit(self, lease: Lease, error: BaseException | None) -> None:
        now = time.monotonic()
        self._sent -= 1
        if self._share is not None and self._share.tokens is not None and lease.used is not None:
            self._allowed += lease.tokens - lease.used
        outcome = "failed"
        if error is None:
            self.accepted_at, outcome = now, "ok"
        elif isinstance(error, RateLimitError):
            outcome = "refused"
            self._kick.set()
        number, cuts = lease.ticket
        self._ended.append((Done(number, 0.0, outcome, lease.paced, lease.saturated, cuts), now))
        self._release()
        self._talk()

    def _talk(self) -> None:
        if self._talking is None or self._talking.done():
            self._talking = asyncio.create_task(self._converse())

    async def _converse(self) -> None:
        """Report and receive, as long as there is anything to do."""
        while True:
            self._kick.clear()
            busy = bool(self._held or self._waiters)
            sent_at = time.monotonic()
            try:
                share = await self._exchange(self._report(sent_at))
            except Exception as error:  # noqa: BLE001 - every lease is told
                self._fail(error)
                return
            self._take(share, sent_at)
            if not busy and not (self._held or self._waiters or self._ended):
                self._talking = None
                return
            await asyncio.sleep(_SPACING)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), share.again)

    def _report(self, now: float) -> Report:
        report = Report(
            self._sent,
            self._held - self._sent + len(self._waiters),
            tuple((number, now - at) for number, at in self._news),
            tuple(done._replace(ago=now - at) for done, at in self._ended),
            self._requests,
            self._allowed,
            self._wanted,
        )
        self._news.clear()
        self._ended.clear()
        self._requests, self._allowed = 0, 0.0
        return report

    def _take(self, share: Share, sent_at: float) -> None:
        self._share = share
        self._lapses = sent_at + share.lapses
        self._requests += share.requests or 0
        self._allowed += share.tokens or 0.0
        self.concurrency.limit = float(share.slots)
        self._heard.set()
        self._wake()

    def _fail(self, error: BaseException) -> None:
        self._failure = error
        self._heard.set()
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(error)
