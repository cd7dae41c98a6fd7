"""Running the application on uvicorn, and ending it so that nobody is left with half a reply.

Told to stop, the server takes no new requests and lets those under way finish for the time of `grace`;
whoever is not done by then is told so in the words of the protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from catagent.errors import ConfigError
from catagent.server.app import Application

__all__ = ["is_loopback", "listening", "serve"]

_KEPT_ALIVE = 75  # seconds; longer than clients keep idle connections, so that the client closes them
_FAREWELL = 5.0
_BACKLOG = 2048


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    return host in ("localhost", "127.0.0.1", "::1")


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises `ConfigError` when the port is taken or the host is not here."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small packets at once only where it is told that the protocol is TCP.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}; name another --port") from None
    sock.listen(_BACKLOG)
    sock.setblocking(False)
    return sock


class _Server(uvicorn.Server):
    """uvicorn, with an end that the application takes part in."""

    def __init__(self, config: uvicorn.Config, app: Application) -> None:
        super().__init__(config)
        self._application = app
        self._ending: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Like uvicorn's, but a server that was told to stop and did has not failed."""
        try:
            before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # in a thread other than the main one
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, a second one does not wait for it."""
        if self.should_exit:
            self.force_exit = True
            self._application.gate.stopped.set()
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, give what is under way its time, then end it."""
        gate = self._application.gate
        gate.closed = True
        self._ending = asyncio.ensure_future(self._end())
        try:
            await super().shutdown(sockets)
        finally:
            self._ending.cancel()

    async def _end(self) -> None:
        await asyncio.sleep(self._application.options.grace)
        self._application.gate.stopped.set()


async def serve(
    app: Application, sock: socket.socket, *, started: Callable[[uvicorn.Server], None] | None = None
) -> None:
    """Serve until a signal comes, or `should_exit` of the server that `started` is told of is set."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        ws="none",
        timeout_keep_alive=_KEPT_ALIVE,
        timeout_graceful_shutdown=int(app.options.grace + _FAREWELL),
    )
    server = _Server(config, app)
    if started is not None:
        started(server)
    await server.serve(sockets=[sock])
