"""Server-sent events to a client that may go, fall asleep, or outlive the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from starlette.types import Receive, Scope, Send

from catagent.completions import ApiError, api_error
from catagent.server.gate import Gate
from catagent.server.reading import ClientGone, attended
from catagent.server.replies import dumped

__all__ = ["EventStream", "comment", "data"]

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def data(body: Any, event: str | None = None) -> bytes:
    """One event with a JSON body, or a plain word."""
    named = f"event: {event}\n".encode() if event else b""
    return named + b"data: " + (body.encode() if isinstance(body, str) else dumped(body)) + b"\n\n"


def comment(text: str) -> bytes:
    """A line that clients skip: it keeps proxies from giving up, and people can read it."""
    return b": " + " ".join(text.split()).encode("utf-8", "replace") + b"\n\n"


class EventStream:
    """The response made of `pieces`. Its status is sent with the first of them, so that what fails before
    has a status of its own; what fails after is told by `broken`, a last piece.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        gate: Gate,
        *,
        broken: Callable[[ApiError], bytes],
        send_seconds: float,
        failed: Callable[[ApiError], None],
    ) -> None:
        self._pieces = pieces
        self._gate = gate
        self._broken = broken
        self._seconds = send_seconds
        self._failed = failed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Raises what the first piece raised, and `ClientGone`."""
        async with aclosing(self._pieces) as pieces:
            first = await attended(_first(pieces), receive, self._gate)
            await self._sent(send({"type": "http.response.start", "status": 200, "headers": _HEADERS}))
            try:
                await attended(self._pump(first, pieces, send), receive, self._gate)
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - the status is sent: any failure is told in the stream
                refusal = api_error(error)
                refusal.__cause__ = refusal.__cause__ or (error if refusal is not error else None)
                self._failed(refusal)
                await self._piece(send, self._broken(refusal))
            await self._sent(send({"type": "http.response.body", "body": b"", "more_body": False}))

    async def _pump(self, first: bytes, pieces: AsyncGenerator[bytes, None], send: Send) -> None:
        await self._piece(send, first)
        async for piece in pieces:
            await self._piece(send, piece)

    async def _piece(self, send: Send, piece: bytes) -> None:
        await self._sent(send({"type": "http.response.body", "body": piece, "more_body": True}))

    async def _sent(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await sending
        except (TimeoutError, OSError):
            raise ClientGone from None


async def _first(pieces: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(pieces)
