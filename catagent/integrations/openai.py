"""OpenAI's own Python clients with CaT behind them, in this process and without a server.

    from catagent.integrations.openai import async_client

    client = async_client()
    await client.chat.completions.create(model="cat", messages=…, extra_body={"catagent": {"n": 8}})

Whatever takes an `openai.AsyncOpenAI` or `openai.OpenAI` takes these: requests are answered by the client's
transport, in the protocol's own words, so that conversions, streaming and errors are the library's.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any

from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.integrations.answering import BASE_URL, answer
from catagent.integrations.chat import default_cat, in_background
from catagent.integrations.extras import absent

try:
    import openai
except ImportError as error:
    raise absent("openai", error) from error

__all__ = ["async_client", "client"]

# The library's own HTTP client: httpx up to its version 2, httpx2 since.
_http: Any = importlib.import_module(openai.DefaultAsyncHttpxClient.__mro__[1].__module__.partition(".")[0])


def async_client(cat: CaT | None = None, options: Mapping[str, Any] | None = None) -> openai.AsyncOpenAI:
    """An `AsyncOpenAI` that asks `cat`, by default the process's own. It sends nothing over the network.

    `options` are those of `extra_body={"catagent": {…}}` for requests that bring none.
    """
    http = openai.DefaultAsyncHttpxClient(transport=_AsyncTransport(cat, options))
    return openai.AsyncOpenAI(api_key="in-process", base_url=BASE_URL, max_retries=0, http_client=http)


def client(cat: CaT | None = None, options: Mapping[str, Any] | None = None) -> openai.OpenAI:
    """The same for callers that are not async."""
    http = openai.DefaultHttpxClient(transport=_Transport(cat, options))
    return openai.OpenAI(api_key="in-process", base_url=BASE_URL, max_retries=0, http_client=http)


class _AsyncTransport(_http.AsyncBaseTransport):
    def __init__(self, cat: CaT | None, options: Mapping[str, Any] | None) -> None:
        self._cat = cat
        self._options = options

    async def handle_async_request(self, request: Any) -> Any:
        content = await request.aread()
        cat = self._cat or default_cat()
        made = await answer(request.method, request.url.path, content, cat, self._options)
        if isinstance(made.body, bytes):
            return _http.Response(made.status, headers=made.headers, content=made.body)
        return _http.Response(made.status, headers=made.headers, stream=_AsyncStream(made.body))


class _Transport(_http.BaseTransport):
    def __init__(self, cat: CaT | None, options: Mapping[str, Any] | None) -> None:
        self._cat = cat
        self._options = options

    def handle_request(self, request: Any) -> Any:
        content, cat = request.read(), self._cat or default_cat()
        made = run_in_background(answer(request.method, request.url.path, content, cat, self._options))
        if isinstance(made.body, bytes):
            return _http.Response(made.status, headers=made.headers, content=made.body)
        return _http.Response(made.status, headers=made.headers, stream=_Stream(made.body))


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
