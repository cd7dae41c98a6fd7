"""`catagent serve` as a process: started, asked, told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from typer.testing import CliRunner

from catagent.cli.main import app
from tests.cast import cast
from tests.doubles import ProviderDouble
from tests.server.running import FOURS, QUESTION, asking


@asynccontextmanager
async def command(*words: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "catagent",
        "serve",
        *words,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process, words: str) -> str:
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := (await process.stderr.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the command ended without saying {words!r}")


def configured(double: ProviderDouble, folder: Path) -> str:
    path = folder / "providers.yaml"
    provider = {"api": "openai", "base_url": double.base_url}
    path.write_text(yaml.safe_dump({"providers": {"double": provider}}))
    return str(path)


async def test_it_serves_sends_spans_and_stops_when_it_is_told_to(tmp_path: Path) -> None:
    spans: list[bytes] = []

    async def collected(request: web.Request) -> web.Response:
        spans.append(await request.read())
        return web.Response(body=b"", content_type="application/x-protobuf")

    collector = web.Application()
    collector.router.add_post("/v1/traces", collected)
    runner = web.AppRunner(collector)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    where = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with ProviderDouble(reply=cast(FOURS)) as double, asking() as http:
        words = ("-m", "double/m", "-p", "0", "--n", "2", "--config", configured(double, tmp_path), "--spans")
        async with command(*words, OTEL_EXPORTER_OTLP_ENDPOINT=where) as process:
            line = await said(process, "serving CaT on ")
            url = line.split()[3]
            body = {"messages": QUESTION, "stream": True}
            async with http.post(f"{url}/chat/completions", json=body) as reply:
                assert reply.status == 200
                assert (await reply.text()).rstrip().endswith("data: [DONE]")
            double.latency = 0.5
            asked = asyncio.create_task(_asked(http, url))
            await double.until(lambda: double.in_flight == 1)
            process.send_signal(signal.SIGTERM)
            assert await asked == 200
            assert await asyncio.wait_for(process.wait(), 30) == 0
    await runner.cleanup()
    assert b"invoke_workflow catagent" in b"".join(spans)


async def _asked(http: Any, url: str) -> int:
    async with http.post(f"{url}/chat/completions", json={"messages": QUESTION}) as reply:
        return int(reply.status)


def test_what_is_wrong_is_said_before_anything_is_served(tmp_path: Path) -> None:
    with socket.socket() as taken, ProviderDouble() as double:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = configured(double, tmp_path)
        for words, sentence in [
            (["--host", "0.0.0.0"], "needs a key"),
            (["-p", str(taken.getsockname()[1])], "cannot listen on"),
            (["--keys", str(tmp_path / "none")], "cannot read the keys"),
        ]:
            result = CliRunner().invoke(app, ["serve", *words, "-m", "double/m", "--config", config])
            assert result.exit_code == 1
            assert sentence in result.stderr


def test_a_server_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from catagent.cli.commands.serve import serve
    from catagent.cli.main import app

    assert serve
    for name in [n for n in sys.modules if n.startswith("catagent.server")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "starlette", None)
    for name in [n for n in sys.modules if n.startswith("starlette.")]:
        monkeypatch.setitem(sys.modules, name, None)
    result = CliRunner().invoke(app, ["serve", "-m", "double/m"])
    assert result.exit_code == 1
    assert "pip install 'catagent[serve]'" in result.stderr
