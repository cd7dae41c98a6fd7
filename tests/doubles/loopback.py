"""A real HTTP server on loopback in a thread of its own.

Tests of network code need real sockets: cut connections, half bodies and disconnects cannot be shown by
a patched client. The server's loop is not the test's loop, so that a blocking test cannot stall it.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

__all__ = ["Loopback"]


class Loopback:
    """Base of the doubles: subclasses say in `handle` what is answered.

    Use it as `with` or `async with`; `url` has no trailing slash.
    """

    def __init__(self, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.host = host
        self.port = port
        self.stopping = False
        self.crashes: list[Exception] = []
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        raise NotImplementedError

    async def serve(self, ready: Callable[[], None]) -> None:
        """Serve until `stop` is called; `ready` is called once the port is known."""
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = web.Server(self.handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=0.01)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self.port, backlog=4096)
            await site.start()
            self.port = runner.addresses[0][1]
            ready()
            await self._stop.wait()
        finally:
            self.stopping = True
            await runner.cleanup()

    def start(self) -> None:
        ready = threading.Event()

        def work() -> None:
            try:
                asyncio.run(self.serve(ready.set))
            except BaseException as failure:  # noqa: BLE001 - raised again by `start`
                self._failure = failure
                ready.set()

        self._thread = threading.Thread(target=work, name=type(self).__name__, daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join(timeout=60)
            assert not self._thread.is_alive(), "the double did not stop"

    async def until(self, condition: Callable[[], bool], *, timeout: float = 60.0) -> None:  # noqa: ASYNC109
        """Wait in the test's loop until `condition()` holds; AssertionError after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "the double did not reach the awaited state"
            await asyncio.sleep(0.002)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is None and self.crashes:
            raise self.crashes[0]

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)
        if kind is None and self.crashes:
            raise self.crashes[0]
