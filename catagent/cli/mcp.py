"""`catagent mcp`."""

from __future__ import annotations

import hmac
import ipaddress
import os
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from catagent.cli.pipeline import Pipeline
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError

__all__ = ["Options", "run"]

Scope: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[
    [Scope, Callable[..., Awaitable[Any]], Callable[..., Awaitable[None]]], Awaitable[None]
]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    pipeline: Pipeline
    http: bool
    host: str
    port: int
    keys: Path | None


def run(options: Options) -> int:
    """Run the command; returns the exit code."""
    return run_command(_serve(options))


async def _serve(options: Options) -> None:
    try:
        from catagent.integrations.mcp import server_for
    except ImportError as error:
        raise ConfigError(str(error)) from None
    keys = _keys(options) if options.http else ()
    async with options.pipeline.cat(
        lambda text: console.print(text, style="dim", markup=False, soft_wrap=True)
    ) as cat:
        server = server_for(cat)
        if not options.http:
            # The thread that waits for input would keep Ctrl-C waiting, and nothing is to be saved.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            await server.run_stdio_async()
            return
        import uvicorn

        app: App = server.streamable_http_app(host=options.host)
        config = uvicorn.Config(
            _guarded(app, keys) if keys else app, host=options.host, port=options.port, log_level="warning"
        )
        listener = config.bind_socket()
        with listener:
            host, port = listener.getsockname()[:2]
            console.print(f"MCP at http://{f'[{host}]' if ':' in host else host}:{port}/mcp", markup=False)
            await uvicorn.Server(config).serve(sockets=[listener])


def _keys(options: Options) -> tuple[bytes, ...]:
    """The bearer keys that are let in; none is needed on the loopback address."""
    if options.keys is not None:
        try:
            lines = options.keys.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(f"cannot read the keys in {options.keys}: {error.strerror}") from None
        keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not keys:
            raise ConfigError(f"there is no key in {options.keys}")
    else:
        keys = [key.strip() for key in os.environ.get("CATAGENT_KEYS", "").split(",") if key.strip()]
    if not keys and not _loopback(options.host):
        raise ConfigError(
            f"{options.host} can be reached from other machines: name the keys that are let in, "
            "with --keys FILE or in CATAGENT_KEYS"
        )
    return tuple(key.encode() for key in keys)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _guarded(app: App, keys: tuple[bytes, ...]) -> App:
    """`app` for those who show a key. Every key is compared, in constant time."""

    async def guard(
        scope: Scope, receive: Callable[..., Awaitable[Any]], send: Callable[..., Awaitable[None]]
    ) -> None:
        if scope["type"] == "http":
            given = next((v for k, v in scope["headers"] if k == b"authorization"), b"")
            scheme, _, shown = given.partition(b" ")
            fits = [hmac.compare_digest(shown.strip(), key) for key in keys]
            if scheme.lower() != b"bearer" or not any(fits):
                headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": headers})
                await send({"type": "http.response.body", "body": b'{"error":"a bearer key is needed"}'})
                return
        await app(scope, receive, send)

    return guard
