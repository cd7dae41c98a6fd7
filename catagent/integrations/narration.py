"""A solve or a scoring whose events are told to an async listener, one after the other.

`emit` in `CaT.solve` is a plain function; protocols tell progress with a coroutine that may wait for a slow
client. The queue between them keeps the work going while the listener waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from catagent.events import Emit, Event

__all__ = ["narrated"]

T = TypeVar("T")


async def narrated(
    work: Callable[[Emit], Coroutine[Any, Any, T]], tell: Callable[[Event], Awaitable[None]]
) -> T:
    """What `work(emit)` returns, after `tell` heard every event. Cancelling it cancels the work."""
    events: asyncio.Queue[Event | None] = asyncio.Queue()
    task = asyncio.ensure_future(work(events.put_nowait))
    task.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (event := await events.get()) is not None:
            await tell(event)
        return await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
