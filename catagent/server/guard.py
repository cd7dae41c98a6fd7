"""What every request passes before and after its endpoint: host, key, counters, one line in the log.

The log has method, route, status and time. It has no key, no prompt and no path that a client made up.
"""

from __future__ import annotations

import logging
import math
import secrets
import time
import traceback
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from catagent.completions import ApiError, api_error
from catagent.errors import CatError
from catagent.server.metrics import Metrics
from catagent.server.options import ServerOptions
from catagent.server.reading import ClientGone

__all__ = ["Guard", "log_crash"]

log = logging.getLogger("catagent.server")

_ROUTES = frozenset(
    (
        "/v1/chat/completions",
        "/v1/responses",
        "/v1/score",
        "/v1/models",
        "/healthz",
        "/metrics",
        "/openapi.json",
    )
)
_OPEN = frozenset(("/healthz", "/openapi.json"))
_UNREAD = frozenset((401, 403, 408, 413, 415))
"""Refusals that may come before the body was read: the rest of it is not waited for."""
_HERE = frozenset(("localhost", "127.0.0.1", "::1"))


def _headers(error: ApiError) -> list[tuple[bytes, bytes]]:
    """The headers of a refusal: what OpenAI's clients look at before they try again."""
    headers = [
        (b"content-type", b"application/json"),
        (b"x-should-retry", b"true" if error.again else b"false"),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(error.retry_after))).encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.status in _UNREAD:
        headers.append((b"connection", b"close"))
    return headers


class Guard:
    """Wraps the application. Its exceptions become refusals here."""

    def __init__(self, app: ASGIApp, options: ServerOptions, metrics: Metrics) -> None:
        self._app = app
        self._options = options
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        route = _route(scope["path"])
        seen = _Seen(send, f"req_{secrets.token_hex(8)}")
        try:
            self._admit(scope)
            scope["app"] = self  # so that the router raises what it does not find
            await self._app(scope, receive, seen)
        except ClientGone:
            self._metrics.gone.inc()
            seen.status = seen.status or 499
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            if not isinstance(error, HTTPException):
                log_crash(error)
            if seen.status is None:
                allowed = error.headers if isinstance(error, HTTPException) else None
                await _refuse(seen, _refusal(error), allowed or {})
        finally:
            seconds = time.monotonic() - began
            self._metrics.requests.labels(route, str(seen.status or 499)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            status = seen.status or 499
            log.info("%s %s %s %.0f ms %s", _method(scope), route, status, seconds * 1000, seen.ident)

    def _admit(self, scope: Scope) -> None:
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if self._options.local_only and not _is_local(headers):
            raise ApiError(403, "this server answers requests to this machine only", code="wrong_host")
        if not self._options.keys or scope["path"] in _OPEN:
            return
        if self._options.open_metrics and scope["path"] == "/metrics":
            return
        key = self._options.keys.whose(headers)
        if key is None:
            raise ApiError(
                401, "this key is not known here", type="authentication_error", code="invalid_api_key"
            )
        scope.setdefault("state", {})["key"] = key


class _Seen:
    """Sends, with an id that a client can name, and remembers the status."""

    def __init__(self, send: Send, ident: str) -> None:
        self._send = send
        self.ident = ident
        self.status: int | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message.setdefault("headers", [])
            ours = [(b"x-request-id", self.ident.encode()), (b"x-content-type-options", b"nosniff")]
            message["headers"] = [*message["headers"], *ours]
        await self._send(message)


async def _refuse(send: Send, error: ApiError, more: Mapping[str, str]) -> None:
    body = orjson.dumps(error.body)
    headers = [*_headers(error), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in more.items()]
    try:
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
    except OSError:
        pass  # it has gone


def _refusal(error: Exception) -> ApiError:
    if not isinstance(error, HTTPException):
        return api_error(error)
    if error.status_code == 405:
        return ApiError(405, "this page does not take that method", code="method_not_allowed")
    return ApiError(error.status_code, "there is no such page", code="not_found")


def _route(path: str) -> str:
    if path in _ROUTES:
        return path
    return "/v1/models" if path.startswith("/v1/models/") else "other"


def _method(scope: Scope) -> str:
    method: str = scope["method"]
    return method if method in ("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH") else "other"


def _is_local(headers: list[tuple[bytes, bytes]]) -> bool:
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) != 1:
        return False
    host = hosts[0].decode("latin-1")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower() in _HERE


def log_crash(error: BaseException) -> None:
    """Where a failure that nobody meant happened, and its kind. Its message may hold a prompt."""
    if isinstance(error, ApiError) and error.code == "internal_error" and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ApiError | CatError):
        return
    frames: list[Any] = traceback.extract_tb(error.__traceback__)[-8:]
    where = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in reversed(frames))
    log.error("%s in %s", type(error).__name__, where)
