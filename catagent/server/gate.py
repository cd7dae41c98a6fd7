"""Who is worked for, who waits and who is refused.

Refusing early with a proper status and `Retry-After` is what keeps a server under load alive: a request
that is let in is worked off.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator

from catagent.completions import ApiError
from catagent.server.options import ServerOptions

__all__ = ["Gate", "stopping"]


def stopping() -> ApiError:
    """The refusal of a server that is about to end."""
    return ApiError(
        503, "the server is stopping", type="server_error", code="stopping", retry_after=5, again=True
    )


class Gate:
    """Counts what is under way: requests `working` and `waiting`, bytes `reading`. Belongs to one event loop.

    `stopped` is set when what is still under way has to end.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._turns = asyncio.Semaphore(options.concurrency)
        self._of_key: Counter[int | None] = Counter()
        self.reading = 0
        self.working = 0
        self.waiting = 0
        self.closed = False
        self.stopped = asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self, key: int | None) -> AsyncIterator[None]:
        """A place among those who are worked for. Raises `ApiError` (429 or 503) when there is none."""
        options = self._options
        if self.closed:
            raise stopping()
        if options.per_key is not None and key is not None and self._of_key[key] >= options.per_key:
            raise ApiError(
                429,
                f"this key has {options.per_key} requests under way, more are not allowed",
                type="rate_limit_error",
                code="too_many_requests",
                retry_after=1,
                again=True,
            )
        self._of_key[key] += 1
        try:
            await self._wait()
            try:
                self.working += 1
                yield
            finally:
                self.working -= 1
                self._turns.release()
        finally:
            self._of_key[key] -= 1

    async def _wait(self) -> None:
        if not self._turns.locked():
            await self._turns.acquire()
            return
        if self.waiting >= self._options.queue:
            raise self._busy("the server is busy and its queue is full")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._options.wait):
                await self._turns.acquire()
        except TimeoutError:
            raise self._busy("the server is busy") from None
        finally:
            self.waiting -= 1

    def _busy(self, sentence: str) -> ApiError:
        return ApiError(
            503, sentence, type="server_error", code="overloaded", retry_after=self.backlog, again=True
        )

    @property
    def backlog(self) -> float:
        """Seconds after which another try is sensible: longer, the longer the queue."""
        return 1.0 + round(10.0 * self.waiting / max(1, self._options.queue))

    @contextlib.contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Room in memory for a body. Raises `ApiError` (503) when too many are being read."""
        if self.reading + size > self._options.all_bodies:
            raise self._busy("the server is reading too many requests")
        self.reading += size
        try:
            yield
        finally:
            self.reading -= size
