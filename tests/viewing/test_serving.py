"""The page over real HTTP."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from catagent.errors import ConfigError
from catagent.viewing import Row, serving, write_page
from tests.viewing import samples


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    write_page(tmp_path / "p.html", [Row("a", samples.verifiable(1))], title="t")
    with serving(tmp_path / "p.html") as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def asked(
    port: int, method: str = "GET", path: str = "/", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.getheaders()), body


def test_the_page_and_nothing_else(port: int, tmp_path: Path) -> None:
    status, headers, body = asked(port)
    assert (status, body) == (200, (tmp_path / "p.html").read_bytes())
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'sha256-")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Python" not in headers["Server"]
    assert asked(port, "HEAD")[::2] == (200, b"")
    assert asked(port, path="/?a=b")[0] == 200
    for path in ("/p.html", "/../p.html", "/etc/passwd", "/%2e%2e/p.html"):
        assert asked(port, path=path)[0] == 404
    assert asked(port, "POST")[0] == 501


def test_another_hosts_name_is_refused(port: int) -> None:
    assert asked(port, Host=f"localhost:{port}")[0] == 200
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", ""):
        assert asked(port, Host=host)[0] == 421


def test_a_page_that_is_gone_is_not_found(port: int, tmp_path: Path) -> None:
    (tmp_path / "p.html").unlink()
    assert asked(port)[0] == 404


def test_a_port_that_is_taken_is_one_sentence(port: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"cannot serve on port {port}: .*name another"):
        serving(tmp_path / "p.html", port)


def test_only_this_machine(tmp_path: Path) -> None:
    with serving(tmp_path / "p.html") as server:
        assert server.server_address[0] == "127.0.0.1"


def test_a_browser_that_goes_away_is_no_news(
    port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p.html").write_bytes(b"x" * 30_000_000)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not an end
        client.sendall(f"GET / HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        client.recv(1000)
    assert asked(port, path="/elsewhere")[0] == 404
    assert capfd.readouterr().err == ""
