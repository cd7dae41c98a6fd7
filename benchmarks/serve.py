"""What the server costs beside a bare proxy and beside other servers of its kind, and how it bears a crowd.

    python -m benchmarks.serve --optillm /path/to/venv --its-hub /path/to/venv

Every server runs in a process of its own before the same provider double, which answers after a fixed time.
A request asks for four rollouts where the row says so. Overhead is what a request takes beyond the time
that the double itself takes for the requests it makes one after the other. CPU is the server process's own.
Compare rows of one run; absolutes do not hold elsewhere.

`--optillm` and `--its-hub` name virtual environments with these packages; without them their rows are left
out.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

ANSWER = "It is \\boxed{4}. " + "So much for that. " * 12
QUESTION = [{"role": "user", "content": "What is 2 + 2? " * 8}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
TICKS = os.sysconf("SC_CLK_TCK")
PROXY = """
import sys, aiohttp
from aiohttp import web

async def forward(request):
    body = await request.read()
    async with request.app["http"].post(sys.argv[1] + "/chat/completions", data=body,
                                        headers={"content-type": "application/json"}) as reply:
        return web.Response(body=await reply.read(), status=reply.status, content_type="application/json")

async def http(app):
    app["http"] = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    yield
    await app["http"].close()

app = web.Application()
app.cleanup_ctx.append(http)
app.router.add_post("/v1/chat/completions", forward)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=None)
"""


@dataclass
class Row:
    """One way to ask: `rounds` is how many requests to the double follow one another."""

    name: str
    server: str
    body: dict[str, Any] = field(default_factory=dict)
    rounds: int = 1


ROWS = [
    Row("nothing between", "double", {"model": "m"}),
    Row("bare proxy (aiohttp)", "proxy", {"model": "m"}),
    Row("catagent, tools pass through", "catagent", {"model": "cat", "tools": TOOLS}),
    Row("optillm, none", "optillm", {"model": "none-m"}),
    Row(
        "catagent, 4 rollouts, majority", "catagent", {"model": "cat", "catagent": {"estimator": "majority"}}
    ),
    Row("its_hub, 4 rollouts, self-consistency", "its_hub", {"model": "m", "budget": 4}),
    Row("catagent, 4 rollouts, synthesis", "catagent", {"model": "cat"}, 2),
    Row("catagent, the same, streamed", "catagent", {"model": "cat", "stream": True}, 2),
    Row("optillm, best of 4 (4 ratings in turn)", "optillm", {"model": "bon-m", "n": 1}, 5),
]


@contextlib.contextmanager
def process(command: list[str], **environment: str) -> Iterator[subprocess.Popen[str]]:
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()


def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def up(port: int, child: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and child.poll() is None:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        writer.close()
        return
    raise SystemExit(f"a server did not start: {child.args}")


def cpu(pid: int) -> float:
    """Seconds of CPU of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> float:
    """Resident memory in MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@dataclass
class Servers:
    double: str
    ports: dict[str, int]
    pids: dict[str, int]


@contextlib.asynccontextmanager
async def servers(a: argparse.Namespace) -> AsyncIterator[Servers]:
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        start = stack.enter_context
        command = [
            sys.executable,
            "-m",
            "tests.doubles.provider",
            "--latency",
            str(a.latency),
            "--canned",
            ANSWER,
        ]
        double = start(process(command))
        base = (double.stdout.readline() if double.stdout else "").strip()
        found = Servers(base, {"double": int(base.rsplit(":", 1)[1].split("/")[0])}, {"double": double.pid})

        async def add(name: str, port: int, command: list[str], **environment: str) -> None:
            child = start(process(command, **environment))
            await up(port, child)
            found.ports[name], found.pids[name] = port, child.pid

        port = free_port()
        await add("proxy", port, [sys.executable, "-c", PROXY, base, str(port)])
        config = Path(folder) / "providers.yaml"
        limits = {"start": 512, "max_concurrency": 4096}
        provider = {"api": "openai", "base_url": base, "limits": limits}
        config.write_text(yaml.safe_dump({"providers": {"double": provider}}))
        port = free_port()
        serve = ["serve", "--model", "double/m", "--n", "4", "--kind", "verifiable", "--config", str(config)]
        limits_ = [
            "--concurrency",
            str(a.concurrency),
            "--queue",
            str(a.queue),
            "--quiet",
            "--port",
            str(port),
        ]
        await add("catagent", port, [sys.executable, "-m", "catagent", *serve, *limits_])
        if a.optillm:
            port = free_port()
            tool = [f"{a.optillm}/bin/optillm"]
            options = ["--base-url", base, "--port", str(port), "--best-of-n", "4", "--log", "error"]
            await add("optillm", port, [*tool, *options], OPENAI_API_KEY="sk-none")
        if a.its_hub:
            port = free_port()
            options = ["--port", str(port), "--log-level", "ERROR"]
            await add("its_hub", port, [f"{a.its_hub}/bin/its-iaas", *options])
            wish = {"endpoint": base, "api_key": "none", "model": "m", "alg": "self-consistency"}
            wish |= {"regex_patterns": [r"\\boxed\{(.*?)\}"], "budget": 4}
            async with (
                aiohttp.ClientSession() as http,
                http.post(f"http://127.0.0.1:{port}/configure", json=wish) as reply,
            ):
                assert reply.status == 200, await reply.text()
        yield found


async def crowd(
    port: int, body: dict[str, Any], clients: int, seconds: float, *, rest: float = 0.0
) -> tuple[list[float], Counter[str]]:
    """`clients` who ask one request after the other for so long: the times of good replies, all outcomes."""
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    times: list[float] = []
    outcomes: Counter[str] = Counter()
    data = json.dumps({"messages": QUESTION, **body}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer none"}
    end = time.monotonic() + seconds

    async def client(http: aiohttp.ClientSession) -> None:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                async with http.post(url, data=data, headers=headers) as reply:
                    text = await reply.read()
                    wait = reply.headers.get("retry-after")
                    whole = b"[DONE]" in text if body.get("stream") else b'"choices"' in text
                    good = reply.status == 200 and whole
                    outcomes[str(reply.status) if good or reply.status != 200 else "200, broken"] += 1
                    if reply.status == 503:
                        assert wait, "a refusal without Retry-After"
                    if good:
                        times.append(time.monotonic() - began)
            except (aiohttp.ClientError, TimeoutError) as error:
                outcomes[type(error).__name__] += 1
            if rest and not good:
                await asyncio.sleep(rest)

    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))
    return times, outcomes


def at(times: list[float], share: float) -> float:
    ordered = sorted(times)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def table(*heads: str) -> None:
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")


async def overhead(found: Servers, a: argparse.Namespace) -> None:
    print(
        f"\n## Overhead: {a.clients} clients, {a.seconds:g} s a row, "
        f"the double takes {a.latency * 1000:g} ms\n"
    )
    heads = ("server", "p50, ms", "p99, ms", "overhead p50", "overhead p99", "x proxy p50")
    table(*heads, "CPU a request, ms", "good", "other")
    proxy: float | None = None
    for row in ROWS:
        if row.server not in found.ports:
            continue
        port, pid = found.ports[row.server], found.pids[row.server]
        await crowd(port, row.body, a.clients, 2)  # warm
        before = cpu(pid)
        times, outcomes = await crowd(port, row.body, a.clients, a.seconds)
        spent = (cpu(pid) - before) / max(1, sum(outcomes.values()))
        own = row.rounds * a.latency
        p50, p99 = at(times, 0.5), at(times, 0.99)
        if row.server == "proxy":
            proxy = p50 - own
        ratio = f"{(p50 - own) / proxy:.1f}" if proxy else ""
        others = ", ".join(f"{k}: {v}" for k, v in sorted(outcomes.items()) if k != "200") or "none"
        cells = (p50, p99, p50 - own, p99 - own)
        print(
            f"| {row.name} | {' | '.join(f'{cell * 1e3:.0f}' for cell in cells)} | {ratio} "
            f"| {spent * 1e3:.2f} | {len(times)} | {others} |",
            flush=True,
        )


async def many(found: Servers, a: argparse.Namespace) -> None:
    port, pid = found.ports["catagent"], found.pids["catagent"]
    print(
        f"\n## A crowd: {a.crowd} clients for {a.crowd_seconds:g} s, {a.concurrency} worked on at once, "
        f"{a.queue} in the queue; 4 rollouts, synthesis, half of them streamed\n"
    )
    sizes: list[float] = []

    async def watch() -> None:
        while True:
            sizes.append(rss(pid))
            await asyncio.sleep(1)

    await crowd(port, {"model": "cat"}, a.crowd, 5, rest=0.5)  # warm
    watching = asyncio.create_task(watch())
    half = a.crowd // 2
    parts = await asyncio.gather(
        crowd(port, {"model": "cat"}, half, a.crowd_seconds, rest=1.0),
        crowd(port, {"model": "cat", "stream": True}, a.crowd - half, a.crowd_seconds, rest=1.0),
    )
    watching.cancel()
    times = [t for part, _ in parts for t in part]
    outcomes = sum((o for _, o in parts), Counter())
    third = max(1, len(sizes) // 3)
    said = ", ".join(f"{status}: {count}" for status, count in sorted(outcomes.items()))
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/healthz") as reply:
        health = await reply.json()
    table(
        "outcomes", "good a second", "p50, s", "p99, s", "RSS first third, MB", "last third", "most", "after"
    )
    first, last = sizes[:third], sizes[-third:]
    print(
        f"| {said} | {len(times) / a.crowd_seconds:.0f} | {at(times, 0.5):.2f} | {at(times, 0.99):.2f} "
        f"| {sum(first) / len(first):.0f} | {sum(last) / len(last):.0f} | {max(sizes):.0f} "
        f"| {health['working']} working |"
    )


def shown(a: argparse.Namespace) -> Iterator[str]:
    if a.optillm:
        yield "--optillm VENV"
    if a.its_hub:
        yield "--its-hub VENV"


async def work(a: argparse.Namespace) -> None:
    print("# The server under load\n\n    python -m benchmarks.serve " + " ".join(shown(a)) + "\n")
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    async with servers(a) as found:
        await overhead(found, a)
        await many(found, a)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add = parser.add_argument
    add("--optillm", help="virtual environment")
    add("--its-hub", help="virtual environment")
    add("--latency", type=float, default=0.1)
    add("--clients", type=int, default=8)
    add("--seconds", type=float, default=15)
    add("--crowd", type=int, default=500)
    add("--crowd-seconds", type=float, default=60)
    add("--concurrency", type=int, default=64)
    add("--queue", type=int, default=256)
    asyncio.run(work(parser.parse_args()))


if __name__ == "__main__":
    main()
