"""The server on a real socket, in this event loop, with a provider double behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import uvicorn

from catagent.cat import CaT
from catagent.server import Application, ServerOptions
from catagent.server.running import listening, serve

QUESTION = [{"role": "user", "content": "What is 2 + 2?"}]
FOURS = ("It is \\boxed{4}.", "\\boxed{4}", "\\boxed{5}", "So \\boxed{4}")


@dataclass
class Running:
    """A server under test. `stop` tells it to end, as a signal would."""

    app: Application
    port: int
    server: uvicorn.Server
    task: asyncio.Task[None]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.server.should_exit = True


@asynccontextmanager
async def running(cat: CaT, **options: Any) -> AsyncIterator[Running]:
    app = Application(cat, ServerOptions(**options))
    sock = listening("127.0.0.1", 0)
    port = sock.getsockname()[1]
    ready: asyncio.Future[uvicorn.Server] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(app, sock, started=ready.set_result))
    server = await ready
    await until(lambda: server.started or task.done())
    if not server.started:
        await task
        raise AssertionError("the server ended before it had started")
    one = Running(app, port, server, task)
    try:
        yield one
    finally:
        server.should_exit = True
        server.force_exit = True
        app.gate.stopped.set()
        await task


@asynccontextmanager
async def asking(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), **options) as session:
        yield session


async def until(condition: Any, seconds: float = 30) -> None:
    """Wait for something that has to come; a guard against hanging, not a measure."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for is elsewhere
            await asyncio.sleep(0.005)
