"""OpenAI's own Python clients with CaT behind them, in this process and without a server.

    from catagent.integrations.openai import async_client

    client = async_client()
    await client.chat.completions.create(model="cat", messages=…, extra_body={"catagent": {"n": 8}})

Whatever takes an `openai.AsyncOpenAI` or `openai.OpenAI` takes these: requests are answered by the client's
transport, in the protocol's own words, so that conversions, streaming and errors are the library's.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import orjson

from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.completions import ApiError, Chunks, Final, Head, complete, model_names, request_of, stream
from catagent.integrations.chat import default_cat, in_background, status_of
from catagent.integrations.extras import absent

try:
    import openai
except ImportError as error:
    raise absent("openai", error) from error

__all__ = ["async_client", "client"]

_BASE = "http://catagent.invalid/v1"
_JSON = {"content-type": "application/json"}
# The library's own HTTP client: httpx up to its version 2, httpx2 since.
_http: Any = importlib.import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])


def async_client(cat: CaT | None = None) -> openai.AsyncOpenAI:
    """An `AsyncOpenAI` that asks `cat`, by default the process's own. It sends nothing over the network."""
    http = openai.DefaultAsyncHttpxClient(transport=_AsyncTransport(cat))
    return openai.AsyncOpenAI(api_key="in-process", base_url=_BASE, max_retries=0, http_client=http)


def client(cat: CaT | None = None) -> openai.OpenAI:
    """The same for callers that are not async."""
    http = openai.DefaultHttpxClient(transport=_Transport(cat))
    return openai.OpenAI(api_key="in-process", base_url=_BASE, max_retries=0, http_client=http)


class _AsyncTransport(_http.AsyncBaseTransport):
    def __init__(self, cat: CaT | None) -> None:
        self._cat = cat

    async def handle_async_request(self, request: Any) -> Any:
        status, headers, body = await _answer(request, await request.aread(), self._cat or default_cat())
        if isinstance(body, bytes):
            return _http.Response(status, headers=headers, content=body)
        return _http.Response(status, headers=headers, stream=_AsyncStream(body))


class _Transport(_http.BaseTransport):
    def __init__(self, cat: CaT | None) -> None:
        self._cat = cat

    def handle_request(self, request: Any) -> Any:
        work = _answer(request, request.read(), self._cat or default_cat())
        status, headers, body = run_in_background(work)
        if isinstance(body, bytes):
            return _http.Response(status, headers=headers, content=body)
        return _http.Response(status, headers=headers, stream=_Stream(body))


class _AsyncStream(_http.AsyncByteStream):
    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._events

    async def aclose(self) -> None:
        await self._events.aclose()


class _Stream(_http.SyncByteStream):
    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        self._raw = events
        self._events = in_background(events)

    def __iter__(self) -> Iterator[bytes]:
        return self._events

    def close(self) -> None:
        run_in_background(self._raw.aclose())


async def _answer(
    request: Any, content: bytes, cat: CaT
) -> tuple[int, dict[str, str], bytes | AsyncGenerator[bytes, None]]:
    """Status, headers, and the body or its events."""
    path = request.url.path.removeprefix("/v1")
    if request.method == "GET" and path == "/models":
        listed = [
            {"id": n, "object": "model", "created": 0, "owned_by": "catagent"} for n in model_names(cat)
        ]
        return 200, _JSON, orjson.dumps({"object": "list", "data": listed})
    try:
        if request.method != "POST" or path != "/chat/completions":
            raise ApiError(404, f"{request.method} {path} is not here: there are chat completions and models")
        asked = request_of(orjson.loads(content))
        if not asked.stream:
            return 200, _JSON, orjson.dumps(await complete(asked, cat))
        head = Head(asked.model)
        items = stream(asked, cat, head=head)
        first = await anext(items)  # what is wrong with the request is said with a status
    except ApiError as error:
        return _refusal(error)

    async def events() -> AsyncGenerator[bytes, None]:
        chunks = Chunks(head, usage=asked.wants_usage)
        item = first
        try:
            while True:
                for chunk in chunks.of(item):
                    yield b"data: " + orjson.dumps(chunk) + b"\n\n"
                if isinstance(item, Final):
                    break
                item = await anext(items)
            yield b"data: [DONE]\n\n"
        except ApiError as error:
            yield b"data: " + orjson.dumps(error.body) + b"\n\n"
        finally:
            await items.aclose()

    return 200, {"content-type": "text/event-stream"}, events()


def _refusal(error: ApiError) -> tuple[int, dict[str, str], bytes]:
    headers = {**_JSON, "x-should-retry": "true" if error.again else "false"}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return status_of(error), headers, orjson.dumps(error.body)
