"""Reading a request's body within limits, and noticing when its sender has gone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

import orjson
from starlette.types import Receive

from catagent.completions import ApiError
from catagent.server.gate import Gate, stopping
from catagent.server.options import ServerOptions

__all__ = ["ClientGone", "attended", "json_body"]

T = TypeVar("T")

_DIGITS = 15


class ClientGone(Exception):
    """Nobody waits for the reply."""


async def json_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, gate: Gate, options: ServerOptions
) -> Any:
    """The JSON of a request's body. Raises `ApiError` (400, 408, 413, 415, 503) or `ClientGone`."""
    named = {name.lower(): value for name, value in headers}
    kind = named.get(b"content-type", b"").split(b";", 1)[0].strip().lower()
    if kind != b"application/json":
        raise ApiError(415, "send the body as application/json", code="unsupported_media_type")
    if named.get(b"content-encoding", b"identity").lower() != b"identity":
        raise ApiError(415, "send the body without a content-encoding", code="unsupported_encoding")
    declared = named.get(b"content-length", b"")
    if declared and not declared.isdigit():
        raise ApiError(400, "the content-length is not a number", code="invalid_header")
    if len(declared) > _DIGITS or (declared and int(declared) > options.largest_body):
        raise _too_large(options)
    size = int(declared) if declared else options.largest_body
    with gate.room(size):
        try:
            async with asyncio.timeout(options.body_seconds):
                raw = await _read(receive, options)
        except TimeoutError:
            raise ApiError(408, "the body took too long to come", code="slow_body") from None
        try:
            return orjson.loads(raw)
        except orjson.JSONDecodeError as error:
            raise ApiError(400, f"the body is not JSON: {error}", code="invalid_json") from None


async def _read(receive: Receive, options: ServerOptions) -> bytes:
    raw = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        raw += message.get("body", b"")
        if len(raw) > options.largest_body:
            raise _too_large(options)
        if not message.get("more_body"):
            return bytes(raw)


def _too_large(options: ServerOptions) -> ApiError:
    most = options.largest_body / 2**20
    return ApiError(413, f"the body is larger than {most:g} MiB", code="body_too_large")


async def attended(work: Coroutine[Any, Any, T], receive: Receive, gate: Gate) -> T:
    """The result of `work`, which is cancelled when the client goes or the server has to end.

    Raises `ClientGone` or `ApiError` (503) then.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_gone(receive))
    ended = asyncio.ensure_future(gate.stopped.wait())
    try:
        await asyncio.wait((task, gone, ended), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise stopping() if ended.done() else ClientGone
    finally:
        for one in (task, gone, ended):
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(task, gone, ended, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
