"""Samples that are being bought: whoever wants one of them too waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

__all__ = ["Purchases"]


class Purchases:
    """What is being bought: who wants the same sample waits for it and finds it in the journal.

    Methods that ask the anchor the same thing, side by side, so get the same reply, and it is paid once.
    """

    def __init__(self) -> None:
        self._open: dict[str, asyncio.Event] = {}

    @asynccontextmanager
    async def claim(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """See `SharedJournal.claim`. All keys are claimed at once, so that no two wait for each other."""
        own = set(keys)
        while taken := [self._open[key] for key in own if key in self._open]:
            await taken[0].wait()
        done = asyncio.Event()
        self._open |= dict.fromkeys(own, done)
        try:
            yield
        finally:
            for key in own:
                del self._open[key]
            done.set()
