"""The embedded model: llama.cpp inside this process, reached like any other endpoint.

`xllamacpp` runs llama.cpp's own server on a loopback port, with one slot a rollout and continuous
batching, so an embedded model goes through the same client, limiter and retries as a hosted one.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from catagent.errors import FetchError
from catagent.models.catalogue import CATALOGUE, Entry, fetch, installed
from catagent.models.client import Completion, ModelRequest, OnDelta
from catagent.models.fast_lane import FastLane

__all__ = ["SLOTS", "EmbeddedClient"]

SLOTS = 8
_servers: dict[str, Any] = {}
_lock = threading.Lock()


def _serve(entry: Entry, path: Path) -> str:
    """Start the server for a model, once in a process; returns its address."""
    with _lock:
        if entry.name not in _servers:
            # Threads that spin at barriers starve everything else on a small machine; read at import.
            os.environ.setdefault("GOMP_SPINCOUNT", "1000")
            engine = importlib.import_module("xllamacpp")
            params = engine.CommonParams()
            params.model.path = str(path)
            params.n_parallel = SLOTS
            params.n_ctx = SLOTS * min(entry.context, 8192)
            params.cpuparams.n_threads = max(1, min(16, os.cpu_count() or 1))
            params.cpuparams.poll = 0
            params.warmup = False
            params.verbosity = -1
            params.port = 0
            try:
                _servers[entry.name] = engine.Server(params)
            except (RuntimeError, ValueError) as error:
                raise FetchError(
                    f"the embedded model {entry.name} cannot be loaded from {path}: {error}; "
                    f"fetch it anew with `catagent models pull {entry.name} --again`"
                ) from None
        return str(_servers[entry.name].listening_address)


class EmbeddedClient:
    """A client for one model of the catalogue, fetched and started when it is first asked."""

    def __init__(self, name: str, progress: Callable[[int, int | None], None] | None = None) -> None:
        self._entry = CATALOGUE[name]
        self._progress = progress
        self._lane: FastLane | None = None
        self._starting = asyncio.Lock()

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once; see `Client.complete`."""
        if self._lane is None:
            await self.start()
        assert self._lane is not None
        return await self._lane.complete(request, on_delta)

    async def score(self, model: str, context: str, text: str) -> Completion:
        """The log-probabilities of a given text; see `Scorer.score`."""
        if self._lane is None:
            await self.start()
        assert self._lane is not None
        return await self._lane.score(model, context, text)

    async def start(self) -> None:
        """Fetch the model if need be and load it. Raises `FetchError`."""
        async with self._starting:
            if self._lane is None:
                path = installed(self._entry.name) or await fetch(self._entry.name, progress=self._progress)
                address = await asyncio.to_thread(_serve, self._entry, path)
                # llama.cpp's server closes a connection after a streamed reply without saying so.
                self._lane = FastLane(
                    f"{address}/v1", name=f"the embedded {self._entry.name}", keep_alive=False
                )

    async def aclose(self) -> None:
        """Close connections; the server lives as long as the process."""
        if self._lane is not None:
            await self._lane.aclose()
