"""The remote reward server, asked as OpenRLHF 0.11.2 asks: one completion a request, many at a time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from catagent.integrations.openrlhf import application
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble
from tests.integrations.support import environment, until

PROMPT = "<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n"


def asked(text: str) -> dict[str, Any]:
    return {"query": [f"{PROMPT}{text}<|im_end|>"], "prompts": [PROMPT], "labels": ["gold"]}


async def test_single_completions_meet_in_the_server() -> None:
    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat, TestClient(TestServer(application(cat, group_size=4))) as client:

            async def post(body: Any) -> Any:
                async with client.post("/get_reward", json=body) as response:
                    return response.status, await response.json()

            texts = ("\\boxed{4}", "\\boxed{5}", "", "\\boxed{4}")
            replies = await asyncio.gather(*(post(asked(text)) for text in texts))
            whole = {k: [v for t in texts for v in asked(t)[k]] for k in ("query", "prompts", "labels")}
            status, batch = await post(whole)
            refused = [await post(body) for body in ([], {"query": ["a"]}, {"query": ["a"], "prompts": []})]
        assert double.received == 2
        assert "gold" not in double.requests[0].prompt
        assert "<|im_end|>" not in double.requests[0].prompt
    assert [r["rewards"] for _, r in replies] == [1.0, 0.0, 2 / 3, 1.0]
    assert [r["extra_logs"]["cat_unknown"] for _, r in replies] == [0.0, 0.0, 1.0, 0.0]
    assert (status, batch["scores"]) == (200, [1.0, 0.0, 2 / 3, 1.0])
    assert [code for code, _ in refused] == [400, 400, 400]


async def test_what_fails_upstream_is_said_and_asked_again() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "said so")) as double:
        async with cat_on(double) as cat, TestClient(TestServer(application(cat, group_size=1))) as client:
            response = await client.post("/get_reward", json=asked("\\boxed{4}"))
            assert response.status == 502
            assert "said so" in (await response.json())["error"]


async def test_the_command() -> None:
    line = [
        sys.executable,
        "-m",
        "catagent.integrations.openrlhf",
        "--group-size",
        "2",
        "--model",
        "openai/m",
    ]
    with (
        ProviderDouble(reply=cast([])) as double,
        subprocess.Popen(  # noqa: ASYNC220
            [*line, "--port", "0"], env=environment(double), stdout=subprocess.PIPE, text=True
        ) as process,
    ):
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        async with aiohttp.ClientSession() as session:

            async def post(text: str) -> Any:
                async with session.post(url, json=asked(text)) as response:
                    return (await response.json())["rewards"]

            assert await asyncio.gather(post("\\boxed{4}"), post("\\boxed{5}")) == [1.0, 0.0]
        process.terminate()
        await until(lambda: process.poll() is not None)
