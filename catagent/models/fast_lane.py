"""The fast lane: OpenAI-compatible endpoints straight over aiohttp.

vLLM, llama.cpp, Ollama, LM Studio, OpenAI, Together and many more speak this protocol. At fan-out the
transport is what a call costs: see `benchmarks/clients.md` for what each library takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import orjson

from catagent.errors import AccountError, ConnectError, GarbledError, ModelError
from catagent.models.client import Completion, ModelRequest, OnDelta, told
from catagent.models.redaction import redact
from catagent.models.refusals import refusal
from catagent.models.scoring_wire import TextScorer
from catagent.models.wire import StreamAssembler, encode, parse

__all__ = ["FastLane"]

_IDLE = 4.0  # seconds; uvicorn closes idle connections after 5
_LARGEST_REPLY = 64 * 2**20
_LARGEST_LINE = 8 * 2**20
_LARGEST_REFUSAL = 2**16
_REST = 0.25
"""Seconds to wait for the end of a stream whose last event has come: a connection read to its end is
used again, another one is lost."""


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
        keep_alive: bool = True,
    ) -> None:
        self._keep_alive = keep_alive
        self._base = base_url.rstrip("/")
        self._root = self._base.removesuffix("/v1")
        self._url = f"{self._base}/chat/completions"
        self._name = name
        self._headers = {"content-type": "application/json", **(headers or {})}
        self._secrets = tuple((headers or {}).values())
        if api_key and (api_key := api_key.strip()):
            self._headers["authorization"] = f"Bearer {api_key}"
            self._secrets += (api_key,)
        self._session: aiohttp.ClientSession | None = None
        self._scored = TextScorer(self._post, name)

    def _connect(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=self._connector(),
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=15),
                trust_env=_behind_proxy(self._base),
                read_bufsize=2**18,
            )
        return self._session

    def _connector(self) -> aiohttp.TCPConnector:
        if not self._keep_alive:
            return aiohttp.TCPConnector(limit=0, force_close=True)
        return aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, keepalive_timeout=_IDLE)

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once; see `Client.complete`."""
        body = encode(request, stream=on_delta is not None)
        with self._discreet():
            async with self._asked("POST", self._url, request.model, data=body) as reply:
                if on_delta is not None and reply.content_type == "text/event-stream":
                    return await self._stream(reply, on_delta)
                # What was to be streamed may still come whole.
                return told(parse(await self._read(reply)), on_delta)

    async def models(self) -> list[dict[str, Any]]:
        """What `GET /models` lists. Raises a `ModelError` when the endpoint does not answer."""
        with self._discreet():
            async with self._asked("GET", f"{self._base}/models", "") as reply:
                raw = await self._read(reply)
            try:
                return [m for m in orjson.loads(raw).get("data") or () if isinstance(m, dict)]
            except (ValueError, AttributeError, TypeError):
                raise GarbledError(f"{self._name} does not list its models") from None

    async def score(self, model: str, context: str, text: str) -> Completion:
        """The log-probabilities of a given text; see `Scorer.score`."""
        with self._discreet():
            return await self._scored(model, context, text)

    async def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that a path answers with, seen from the server's root (`/v1/…` or its own protocol)."""
        url = f"{self._base}{path.removeprefix('/v1')}" if path.startswith("/v1/") else f"{self._root}{path}"
        async with self._asked("POST", url, str(body.get("model", "")), data=orjson.dumps(body)) as reply:
            raw = await self._read(reply)
        try:
            return orjson.loads(raw)
        except ValueError:
            raise GarbledError(f"{self._name} answered {path} with something that is not JSON") from None

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, url: str, model: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """The reply to a request, if its status is 200. Raises the refusal if it is not."""
        with self._connection():
            reply = await self._connect().request(method, url, **options)
        async with reply:
            if reply.status != 200:
                raw = await self._read(reply, cut=_LARGEST_REFUSAL)
                said = redact(raw.decode(errors="replace"), *self._secrets).encode()
                raise refusal(reply.status, said, reply.headers, model=model, where=self._name)
            yield reply

    async def _chunk(self, reply: aiohttp.ClientResponse) -> bytes:
        """What has come of the body, empty at its end."""
        with self._connection():
            return await reply.content.readany()

    async def _read(self, reply: aiohttp.ClientResponse, *, cut: int = _LARGEST_REPLY + 1) -> bytes:
        raw = bytearray()
        while len(raw) < cut and (chunk := await self._chunk(reply)):
            raw += chunk
        if len(raw) > _LARGEST_REPLY:
            raise GarbledError(f"{self._name} sent a reply of more than {_LARGEST_REPLY >> 20} MiB")
        return bytes(raw)

    async def _stream(self, reply: aiohttp.ClientResponse, on_delta: OnDelta) -> Completion:
        assembler = StreamAssembler(on_delta)
        total, rest = 0, b""
        while not assembler.done and (chunk := await self._chunk(reply)):
            total += len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            if total > _LARGEST_REPLY or len(rest) > _LARGEST_LINE:
                raise GarbledError(f"{self._name} sent a stream of more than {_LARGEST_REPLY >> 20} MiB")
            for line in lines:
                assembler.feed(line)
        assembler.feed(rest)
        completion = assembler.completion()
        with contextlib.suppress(TimeoutError, ModelError):
            async with asyncio.timeout(_REST):
                await self._read(reply)
        return completion

    @contextlib.contextmanager
    def _connection(self) -> Iterator[None]:
        """What goes wrong with the connection, in our terms."""
        try:
            yield
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise AccountError(
                f"{self._name} cannot be asked at {self._base!r}: write its base URL as https://host/v1"
            ) from None
        except aiohttp.ClientConnectorError as error:
            why = error.strerror or error
            raise ConnectError(f"cannot reach {self._name} at {self._base}: {why}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise ConnectError(f"the connection to {self._name} broke: {said}") from None

    @contextlib.contextmanager
    def _discreet(self) -> Iterator[None]:
        """No error carries a key, whoever put it there."""
        try:
            yield
        except ModelError as error:
            error.args = (redact(str(error), *self._secrets),)
            raise

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
