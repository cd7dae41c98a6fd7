"""Keys, sizes, queues and the end of the server."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from catagent.errors import ConfigError
from catagent.server import Keys
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble
from tests.server.running import FOURS, QUESTION, Running, asking, running, until

KEY, SECOND = "a-long-and-secret-key", "another-long-secret-key"
BODY = {"messages": QUESTION}


async def status(http: Any, server: Running, body: Any = BODY, **options: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{server.url}/v1/chat/completions", json=body, **options) as reply:
        return reply.status, reply.headers, await reply.json(content_type=None)


async def raw(server: Running, request: bytes) -> bytes:
    """The reply to bytes on a socket."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(30):
            return await reader.read(65536)
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


async def test_a_key_is_asked_for_where_there_are_keys() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, keys=Keys([KEY, SECOND]), local_only=False) as server,
        asking() as http,
    ):
        for given, wanted in [
            ({}, 401),
            ({"Authorization": "Bearer wrong-but-long-enough"}, 401),
            ({"Authorization": f"Bearer {KEY}x"}, 401),
            ({"Authorization": f"Bearer {KEY[:-1]}"}, 401),
            ({"Authorization": f"Basic {KEY}"}, 401),
            ({"Authorization": KEY}, 401),
            ({"Authorization": "Bearer"}, 401),
            ({"Authorization": "Bearer " + "x" * 7000}, 401),
            ({"Authorization": f"Bearer {KEY}"}, 200),
            ({"Authorization": f"bearer {SECOND}"}, 200),
        ]:
            code, headers, body = await status(http, server, headers=given)
            assert code == wanted, given
            if wanted == 401:
                assert headers["WWW-Authenticate"] == "Bearer"
                assert body["error"]["code"] == "invalid_api_key"
                assert KEY not in str(body)
        for page, wanted in [
            ("/healthz", 200),
            ("/openapi.json", 200),
            ("/metrics", 401),
            ("/v1/models", 401),
        ]:
            async with http.get(server.url + page) as reply:
                assert reply.status == wanted, page
        twice = (
            f"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            f"Authorization: Bearer {KEY}\r\n\r\n"
        )
        assert b"401" in (await raw(server, twice.encode())).split(b"\r\n", 1)[0]
        assert len(double.requests) == 4


def test_where_keys_come_from(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# ours\n{KEY}  # of a friend\n\n")
    file.chmod(0o600)
    keys = Keys.read(file, {"CATAGENT_SERVER_KEYS": f" {SECOND} ,"})
    for number, key in enumerate((SECOND, KEY)):
        assert keys.whose([(b"Authorization", b"Bearer " + key.encode())]) == number
    assert KEY not in repr(keys)
    assert not Keys.read(None, {})
    file.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Keys.read(file, {})
    for wrong in ("short", "with a space inside", "ünïcode-is-long-enough"):
        with pytest.raises(ConfigError):
            Keys([wrong])
    with pytest.raises(ConfigError, match="cannot read"):
        Keys.read(tmp_path / "nowhere", {})


async def test_a_page_elsewhere_cannot_use_a_server_without_keys() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        asking() as http,
    ):
        assert (await status(http, server, headers={"Host": "evil.example:8080"}))[0] == 403
        assert (await status(http, server, headers={"Host": "localhost:1"}))[0] == 200
        assert (await status(http, server, headers={"Host": "[::1]:1"}))[0] == 200
        async with http.post(f"{server.url}/v1/chat/completions", data=orjson.dumps(BODY)) as reply:
            assert reply.status == 415  # what a form of another page can send
        async with http.options(f"{server.url}/v1/chat/completions") as reply:
            assert reply.status == 405
            assert "Access-Control-Allow-Origin" not in reply.headers


async def test_bodies_that_are_none() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        asking() as http,
    ):
        kind = {"Content-Type": "application/json"}
        for page in ("chat/completions", "responses", "score"):
            for body in (
                b"",
                b"{",
                b"[]",
                b"null",
                b'"x"',
                b"\xff\xfe",
                b"[" * 100_000,
                b'{"a":NaN}',
                b"1e999",
            ):
                async with http.post(f"{server.url}/v1/{page}", data=body, headers=kind) as reply:
                    assert reply.status == 400, (page, body[:20])
                    assert (await reply.json())["error"]["message"]
        assert not double.requests


async def test_bodies_that_are_too_large_are_refused_before_they_are_read() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, largest_body=2**20) as server,
        asking() as http,
    ):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        announced = await raw(server, head + b"Content-Length: 104857600\r\n\r\n")  # and not a byte of it
        assert b" 413 " in announced
        for size in (b"99999999999999999999999", b"18446744073709551616"):
            assert (await raw(server, head + b"Content-Length: " + size + b"\r\n\r\n"))[9:12] in (
                b"413",
                b"400",
            )

        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 2**20

        try:
            code = (
                await status(http, server, None, data=endless(), headers={"Content-Type": "application/json"})
            )[0]
        except (aiohttp.ClientError, ValueError, OSError):
            code = 413  # the connection was closed on the rest
        assert code == 413
        good = {"messages": [{"role": "user", "content": "x" * 900_000}]}
        assert (await status(http, server, good))[0] == 200


async def test_many_bodies_at_once_have_a_limit_together() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, largest_body=2**20, all_bodies=2 * 2**20) as server,
    ):
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for _, writer in slow:
            writer.write(head + b"Content-Length: 1048576\r\n\r\n{")
            await writer.drain()
        await until(lambda: server.app.gate.reading == 2 * 2**20)
        refused = await raw(server, head + b"Content-Length: 1048576\r\n\r\n{")
        assert b" 503 " in refused
        assert b"retry-after:" in refused.lower()
        for _, writer in slow:
            writer.close()
        await until(lambda: server.app.gate.reading == 0)


async def test_a_body_that_does_not_come() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, body_seconds=0.1) as server,
    ):
        head = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        assert b" 408 " in await raw(server, head + b"Content-Length: 100\r\n\r\n{")


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n{}",
        (
            b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\n"
            b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"
            b"Content-Type: application/json\r\n\r\nzz\r\n"
        ),
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET /v1/models\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"TRACE /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\r\n" * 50_000,
    ],
)
async def test_tricks_with_the_protocol_are_refused_and_nothing_breaks(request_: bytes) -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        asking() as http,
    ):
        reply = await asyncio.wait_for(raw(server, request_ + b"\r\n\r\n"), 30)
        assert reply[9:10] in (b"4", b""), reply[:100]  # a refusal, or the connection was closed
        assert (await status(http, server))[0] == 200
        assert len(double.requests) == 2


async def test_one_key_cannot_take_all() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, keys=Keys([KEY, SECOND]), per_key=1) as server,
        asking() as http,
    ):
        first = asyncio.create_task(status(http, server, headers={"Authorization": f"Bearer {KEY}"}))
        await until(lambda: double.in_flight == 1)
        code, headers, body = await status(http, server, headers={"Authorization": f"Bearer {KEY}"})
        assert (code, headers["Retry-After"], headers["x-should-retry"]) == (429, "1", "true")
        assert body["error"]["code"] == "too_many_requests"
        second = asyncio.create_task(status(http, server, headers={"Authorization": f"Bearer {SECOND}"}))
        await until(lambda: double.in_flight == 2)
        for task in (first, second):
            task.cancel()
        await until(lambda: not server.app.gate.working)


async def test_a_full_queue_refuses_and_a_freed_place_is_taken() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, concurrency=1, queue=1) as server,
        asking() as http,
    ):
        first = asyncio.create_task(status(http, server))
        await until(lambda: double.in_flight == 1)
        second = asyncio.create_task(status(http, server))
        await until(lambda: server.app.gate.waiting == 1)
        code, headers, body = await status(http, server)
        assert (code, body["error"]["code"]) == (503, "overloaded")
        assert int(headers["Retry-After"]) >= 1
        assert double.received == 1
        double.latency = 0.0
        first.cancel()  # its client goes: the next one's turn
        assert (await second)[0] == 200
        await until(lambda: not server.app.gate.working and not server.app.gate.waiting)


async def test_nobody_waits_for_ever() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, concurrency=1, wait=0.05) as server,
        asking() as http,
    ):
        first = asyncio.create_task(status(http, server))
        await until(lambda: double.in_flight == 1)
        assert (await status(http, server, {**BODY, "stream": True}))[0] == 503
        first.cancel()


async def test_models_and_rollouts_that_are_not_allowed() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, allow=("cat", "cat/double/*"), most_rollouts=8) as server,
        asking() as http,
    ):
        assert (await status(http, server, {**BODY, "model": "cat/double/x"}))[0] == 200
        for page, body in [
            ("chat/completions", {**BODY, "model": "cat/openai/x"}),
            ("responses", {"input": "x", "model": "cat/openai/x"}),
            ("score", {"prompt": "x", "completions": ["y"], "model": "cat/openai/x"}),
        ]:
            async with http.post(f"{server.url}/v1/{page}", json=body) as reply:
                assert reply.status == 403, page
        for body in ({**BODY, "catagent": {"n": 9}}, {**BODY, "catagent": {"n": 10**6}}):
            assert (await status(http, server, body))[0] == 400
        assert (await status(http, server, {**BODY, "n": 10}))[0] == 400
        for estimator, wanted in [
            ("moa:models=openai/x", 403),  # what an estimator asks is asked all the same
            ("moa:models=double/x", 200),
            ("rsa:population=256,rounds=9", 400),
        ]:
            body = {**BODY, "catagent": {"estimator": estimator}}
            assert (await status(http, server, body))[0] == wanted, estimator
        async with http.get(f"{server.url}/v1/models/cat/openai/x") as reply:
            assert reply.status == 403


async def test_names_of_models_do_not_pile_up() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, most_models=2) as server,
        asking() as http,
    ):
        for name, wanted in [
            ("dog", 404),
            ("cat", 200),
            ("cat/double/a", 200),
            ("cat/double/b", 403),
            ("cat", 200),
        ]:
            assert (await status(http, server, {**BODY, "model": name}))[0] == wanted


async def test_the_log_has_no_keys_and_no_prompts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "a prompt that nobody should read"
    body = {"messages": [{"role": "user", "content": secret}], "temperature": secret}
    async with (
        ProviderDouble(reply=lambda _: f"{secret} \\boxed{{4}}") as double,
        cat_on(double, provider={"attempts": 1}) as cat,
        running(cat, keys=Keys([KEY])) as server,
        asking(headers={"Authorization": f"Bearer {KEY}"}) as http,
    ):
        await status(http, server, body)
        await status(http, server, {**body, "stream": True, "model": secret})
        double.faults = lambda _: Fault.status_code(400, secret)
        await status(http, server, body)
        cat.sampler = broken_sampler
        server.app._joined = None
        assert (await status(http, server, body))[0] == 500
        async with http.get(f"{server.url}/{secret}?key={KEY}") as reply:
            assert reply.status == 404
    ours = [r.getMessage() + str(r.exc_info or "") for r in caplog.records if "aiohttp" not in r.name]
    assert any("POST /v1/chat/completions 200" in line for line in ours)
    assert any("ValueError in broken_sampler" in line for line in ours)
    assert not [line for line in ours if secret in line or KEY in line]


def broken_sampler(*_: Any, **__: Any) -> Any:
    raise ValueError("a prompt that nobody should read")


async def test_a_server_that_is_told_to_stop_finishes_what_it_has() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=0.5) as double,
        cat_on(double) as cat,
        running(cat, heartbeat=0.05) as server,
        asking() as http,
    ):
        under_way = [asyncio.create_task(status(http, server)) for _ in range(8)]
        await until(lambda: double.received == 8)
        server.stop()
        await until(lambda: server.app.gate.closed)
        assert [code for code, _, _ in await asyncio.gather(*under_way)] == [200] * 8
        await server.task
        with pytest.raises(aiohttp.ClientConnectorError):
            await status(http, server)


async def test_a_stream_that_is_not_done_in_time_is_told_so() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, heartbeat=0.02, grace=0.1) as server,
        asking() as http,
    ):
        body = {**BODY, "stream": True}
        async with http.post(f"{server.url}/v1/chat/completions", json=body) as reply:
            await reply.content.readline()  # it has begun
            server.stop()
            text = await reply.text()
        assert '"code":"stopping"' in text
        assert "[DONE]" not in text
        await server.task
        await until(lambda: double.disconnected == 1)


async def test_a_request_that_is_not_done_in_time_has_a_status() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, grace=0.1) as server,
        asking() as http,
    ):
        asked = asyncio.create_task(status(http, server))
        await until(lambda: double.in_flight == 1)
        server.stop()
        code, headers, body = await asked
        assert (code, body["error"]["code"]) == (503, "stopping")
        assert headers["Retry-After"] == "5"
        await server.task


async def test_the_pages_for_machines() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        asking() as http,
    ):
        await status(http, server)
        async with http.get(f"{server.url}/metrics") as reply:
            page = await reply.text()
        assert 'catagent_http_requests_total{route="/v1/chat/completions",status="200"} 1.0' in page
        assert 'catagent_model_calls_total{outcome="ok",role="anchor"} 1.0' in page
        assert 'catagent_tokens_total{kind="completion",role="sampler"}' in page
        async with http.get(f"{server.url}/healthz") as reply:
            assert (await reply.json())["status"] == "ok"
        async with http.get(f"{server.url}/nothing/here") as reply:
            assert (reply.status, (await reply.json())["error"]["code"]) == (404, "not_found")
        async with http.get(f"{server.url}/v1/score") as reply:
            assert (reply.status, reply.headers["Allow"]) == (405, "POST")
