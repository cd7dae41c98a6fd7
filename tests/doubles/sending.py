"""How an answer travels: whole or streamed, in one go, slowly, or cut on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import orjson
from aiohttp import web

from tests.doubles.faults import Fault
from tests.doubles.protocol import Body, chunks

__all__ = ["cut", "send_stream", "send_whole", "wants_usage"]

SOUND = Fault("none")


def cut(request: web.BaseRequest, response: web.StreamResponse | None = None) -> web.StreamResponse:
    """Close the connection after what was written so far."""
    if request.transport is not None:
        request.transport.close()
    return response or web.Response()


def wants_usage(body: Body) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


async def send_whole(
    request: web.BaseRequest, whole: Body, fault: Fault | None, head: Mapping[str, str]
) -> web.StreamResponse:
    fault = fault or SOUND
    head = {"Content-Type": "application/json", **head}
    if fault.stream_error is not None:
        return web.Response(body=fault.stream_error, headers=head)
    data = orjson.dumps(whole)
    if not (fault.cut or fault.body_delay):
        return web.Response(body=data, headers=head)
    response = web.StreamResponse(headers=head)
    response.content_length = len(data)
    await response.prepare(request)
    if fault.cut:
        await response.write(data[: len(data) // 2])
        return cut(request, response)
    step = max(1, len(data) // 10)
    for start in range(0, len(data), step):
        await asyncio.sleep(fault.body_delay / 10)
        await response.write(data[start : start + step])
    await response.write_eof()
    return response


async def send_stream(
    request: web.BaseRequest,
    body: Body,
    whole: Body,
    fault: Fault | None,
    head: Mapping[str, str],
    pace: float,
) -> web.StreamResponse:
    """Server-sent events, `pace` seconds apart; a fault breaks off after half of them."""
    fault = fault or SOUND
    events = [b"data: %b\n\n" % orjson.dumps(part) for part in chunks(whole, include_usage=wants_usage(body))]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **head})
    response.enable_chunked_encoding()
    await response.prepare(request)
    broken = fault.cut == "body" or fault.stream_error is not None
    pause = pace + fault.body_delay / max(1, len(events))
    for event in events[: len(events) // 2] if broken else events:
        if pause:
            await asyncio.sleep(pause)
        await response.write(event)
    if fault.cut == "body":
        return cut(request, response)
    last = fault.stream_error or b"[DONE]"
    await response.write(b"data: %b\n\n" % last)
    await response.write_eof()
    return response
