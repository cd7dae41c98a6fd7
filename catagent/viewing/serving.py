"""The page over HTTP, on this machine only: for a browser that a file cannot be opened in.

One page, one address. Requests under another host's name are refused, so that no web site can read the page
through a name that it points at this machine.
"""

from __future__ import annotations

import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from catagent.errors import ConfigError
from catagent.viewing.page import policy

__all__ = ["serving"]

_PIECE = 1 << 20


def serving(path: str | Path, port: int = 0) -> ThreadingHTTPServer:
    """A server for the page at `path` on 127.0.0.1; port 0 takes a free one (`server_port`).

    It serves in `serve_forever`, and belongs in a `with`. Raises `ConfigError` when the port is taken.
    """
    page = Path(path)

    class Handler(_Handler):
        file = page

    try:
        return _Server(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot serve on port {port}: {why}; name another, or 0 for a free one") from None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that goes away in the middle of the page is no news."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    file: Path
    server_version = "catagent"
    sys_version = ""
    timeout = 30

    def do_GET(self) -> None:
        """The page at `/`, nothing elsewhere."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """As GET, without the page."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        port = cast("ThreadingHTTPServer", self.server).server_port
        if self.headers.get("Host") not in (f"127.0.0.1:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        if self.path.partition("?")[0] != "/":
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        try:
            file = self.file.open("rb")
        except OSError:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        with file:
            size = file.seek(0, 2)
            file.seek(0)
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(size))
            self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            while body and (piece := file.read(_PIECE)):
                self.wfile.write(piece)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base class
        """Nothing is logged: requests hold nothing of interest."""
