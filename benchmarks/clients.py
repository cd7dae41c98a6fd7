"""What one model call costs in the client: our two lanes beside the libraries under them.

    python -m benchmarks.clients

Each client runs in a process of its own against the provider double in another. CPU is the client
process's own. Compare rows of one run; absolutes do not hold elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

MESSAGES = [{"role": "user", "content": "What is the sum of the first 100 odd numbers? " * 4}]
CLIENTS = ("aiohttp", "fast lane", "openai, aiohttp", "openai, httpx", "litellm", "LiteLLM lane")
Call = Callable[[], Awaitable[Any]]


@asynccontextmanager
async def bare_aiohttp(base: str, in_flight: int):
    import aiohttp

    body = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    headers = {"content-type": "application/json", "authorization": "Bearer sk-x"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

        async def call() -> str:
            async with session.post(f"{base}/chat/completions", data=body) as reply:
                return json.loads(await reply.read())["choices"][0]["message"]["content"]

        yield call


@asynccontextmanager
async def openai_client(base: str, in_flight: int, *, over_aiohttp: bool):
    import httpx
    import openai

    limits = httpx.Limits(max_connections=in_flight, max_keepalive_connections=in_flight)
    if over_aiohttp:
        http = openai.DefaultAioHttpClient(limits=limits)
    else:
        http = openai.DefaultAsyncHttpxClient(limits=limits)
    async with openai.AsyncOpenAI(base_url=base, api_key="sk-x", max_retries=0, http_client=http) as client:

        async def call() -> str | None:
            reply = await client.chat.completions.create(model="m", messages=MESSAGES)  # type: ignore[arg-type]
            return reply.choices[0].message.content

        yield call


@asynccontextmanager
async def bare_litellm(base: str, in_flight: int):
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    async def call() -> str:
        reply = await litellm.acompletion(
            model="openai/m", messages=MESSAGES, api_base=base, api_key="sk-x", num_retries=0, max_retries=0
        )
        return reply.choices[0].message.content

    yield call
    await litellm.close_litellm_async_clients()


@asynccontextmanager
async def our_lane(base: str, in_flight: int, *, fast: bool):
    """All of a rollout: limiter, budget, retries, usage, the frozen message."""
    from catagent.messages import Rollout
    from catagent.models.endpoint import Endpoint
    from catagent.models.fast_lane import FastLane
    from catagent.models.ledger import Budget, Ledger
    from catagent.models.limiter import Limits
    from catagent.models.litellm_lane import LiteLLMLane
    from catagent.models.model import Model

    client = FastLane(base, api_key="sk-x") if fast else LiteLLMLane({"api_base": base, "api_key": "sk-x"})
    limits = Limits(start=in_flight, max_concurrency=in_flight)
    endpoint = Endpoint.of(client, "m" if fast else "openai/m", limits=limits)
    model = Model("sampler", [endpoint], ledger=Ledger(Budget(calls=10**9)))

    async def call() -> Rollout:
        choice = await model.sample(MESSAGES)
        return Rollout(index=0, text=choice.text, finish_reason=choice.finish_reason, model="m")

    yield call
    await client.aclose()


MAKERS: dict[str, Callable[[str, int], Any]] = {
    "aiohttp": bare_aiohttp,
    "fast lane": lambda base, k: our_lane(base, k, fast=True),
    "openai, aiohttp": lambda base, k: openai_client(base, k, over_aiohttp=True),
    "openai, httpx": lambda base, k: openai_client(base, k, over_aiohttp=False),
    "litellm": bare_litellm,
    "LiteLLM lane": lambda base, k: our_lane(base, k, fast=False),
}


async def drive(client: str, base: str, in_flight: int, calls: int) -> dict[str, float]:
    async with MAKERS[client](base, in_flight) as call:
        await asyncio.gather(*(call() for _ in range(in_flight)))  # connections, lazy imports
        left = iter(range(calls))

        async def worker() -> None:
            for _ in left:
                await call()

        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(in_flight)))
        wall = time.perf_counter() - began
        return {
            "cpu_ms": (time.process_time() - cpu) / calls * 1000,
            "rate": calls / wall,
            "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def control(base: str) -> dict[str, Any]:
    with urllib.request.urlopen(base.replace("/v1", "/v1/_control")) as reply:
        return json.load(reply)


def measure(client: str, latency: float, in_flight: int, calls: int) -> dict[str, float]:
    server = [
        sys.executable,
        "-m",
        "tests.doubles.provider",
        "--latency",
        str(latency),
        "--canned-tokens",
        "100",
    ]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as double:
        assert double.stdout is not None
        base = double.stdout.readline().strip()
        try:
            arguments = ["--drive", client, base, str(in_flight), str(calls)]
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.clients", *arguments],
                check=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            return {**json.loads(done.stdout.splitlines()[-1]), "reached": control(base)["max_in_flight"]}
        finally:
            double.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--drive", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--calls", type=int, default=1500, help="calls a measurement at most")
    a = parser.parse_args()
    if a.drive:
        client, base, in_flight, calls = a.drive
        print(json.dumps(asyncio.run(drive(client, base, int(in_flight), int(calls)))))
        return
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n")
    print("| server | in flight | client | CPU a call, ms | x aiohttp | calls/s | reached | RSS, MB |")
    print("|---|---|---|---|---|---|---|---|")
    for latency in (0.0, 0.2):
        for in_flight in (1, 64, 256):
            bare = 0.0
            for client in CLIENTS:
                calls = a.calls if latency == 0 else min(a.calls, in_flight * 12)
                got = measure(client, latency, in_flight, max(calls, 20))
                bare = bare or got["cpu_ms"]
                print(
                    f"| {latency * 1000:.0f} ms | {in_flight} | {client} | {got['cpu_ms']:.2f} "
                    f"| {got['cpu_ms'] / bare:.1f} | {got['rate']:.0f} | {got['reached']:.0f} "
                    f"| {got['rss_mb']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
