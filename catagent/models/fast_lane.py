"""The fast lane: OpenAI-compatible endpoints straight over aiohttp.

vLLM, llama.cpp, Ollama, LM Studio, OpenAI, Together and many more speak this protocol. At fan-out the
transport is what a call costs: see `benchmarks/clients.md` for what each library takes.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from catagent.errors import ConnectError, GarbledError, ModelError
from catagent.models.client import Completion, ModelRequest, OnDelta
from catagent.models.wire import StreamAssembler, encode, parse, refusal

__all__ = ["FastLane"]

_LARGEST_REPLY = 64 * 2**20
_LARGEST_LINE = 8 * 2**20


class FastLane:
    """A client for one base URL of the OpenAI protocol (`https://host/v1`).

    Holds one connection pool for the event loop it is first used in; how many requests run at once is
    the limiter's business, so the pool itself sets no bound.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        name: str = "the endpoint",
    ) -> None:
        self._base = base_url.rstrip("/")
        self._url = f"{self._base}/chat/completions"
        self._name = name
        self._headers = {"content-type": "application/json", **(headers or {})}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    def _connect(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=15),
                trust_env=_behind_proxy(self._base),
                read_bufsize=2**18,
            )
        return self._session

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once; see `Client.complete`."""
        body = encode(request, stream=on_delta is not None)
        try:
            async with self._connect().post(self._url, data=body) as reply:
                if reply.status != 200:
                    raw = await reply.content.read(2**16)
                    raise refusal(reply.status, raw, reply.headers, model=request.model, where=self._name)
                if on_delta is None:
                    return parse(await self._read(reply))
                return await self._stream(reply, on_delta)
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from error
        except ValueError as error:  # aiohttp: a line longer than its buffer
            raise GarbledError(f"{self._name} sent something unreadable: {error}") from error

    async def _read(self, reply: aiohttp.ClientResponse) -> bytes:
        length = reply.content_length
        if length is not None and length <= _LARGEST_REPLY:
            return await reply.read()
        raw = bytearray()
        async for chunk in reply.content.iter_any():
            raw += chunk
            if len(raw) > _LARGEST_REPLY:
                raise GarbledError(f"{self._name} sent a reply of more than {_LARGEST_REPLY >> 20} MiB")
        return bytes(raw)

    async def _stream(self, reply: aiohttp.ClientResponse, on_delta: OnDelta) -> Completion:
        if reply.content_type != "text/event-stream":
            # The server ignored `stream`; what it sent is whole.
            return parse(await self._read(reply))
        assembler = StreamAssembler(on_delta)
        total, rest = 0, b""
        async for chunk in reply.content.iter_any():
            total += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if total > _LARGEST_REPLY or len(rest) > _LARGEST_LINE:
                raise GarbledError(f"{self._name} sent a stream of more than {_LARGEST_REPLY >> 20} MiB")
            for line in lines:
                assembler.feed(line.rstrip(b"\r"))
            if assembler.done:
                break
        if rest:
            assembler.feed(rest)
        return assembler.completion()

    async def models(self) -> list[dict[str, Any]]:
        """What `GET /models` lists. Raises a `ModelError` when the endpoint does not answer."""
        try:
            async with self._connect().get(f"{self._base}/models") as reply:
                raw = await self._read(reply)
                if reply.status != 200:
                    raise refusal(reply.status, raw, reply.headers, model="", where=self._name)
                body = orjson.loads(raw)
                return [m for m in body.get("data") or () if isinstance(m, dict)]
        except (aiohttp.ClientError, OSError) as error:
            raise self._broken(error) from error
        except (ValueError, AttributeError) as error:
            raise GarbledError(f"{self._name} does not list its models") from error

    def _broken(self, error: Exception) -> ModelError:
        if isinstance(error, aiohttp.ClientConnectorError):
            return ConnectError(f"cannot reach {self._name} at {self._base}: {error.strerror or error}")
        said = str(error) or type(error).__name__
        return ConnectError(f"the connection to {self._name} broke: {said}")

    async def aclose(self) -> None:
        """Close the pool."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()
            await asyncio.sleep(0)


def _behind_proxy(url: str) -> bool:
    """Whether proxy variables matter for this URL: looking them up costs time at every request."""
    host = urlsplit(url).hostname or ""
    if host in ("localhost", "127.0.0.1", "::1"):
        return False
    return any(
        os.environ.get(name)
        for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "ALL_PROXY")
    )
