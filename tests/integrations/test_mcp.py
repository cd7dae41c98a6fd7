"""The MCP server against the official client: in the process, over stdio and over HTTP."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from typer.testing import CliRunner

from catagent.cli.main import app
from catagent.integrations.mcp import server_for
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble
from tests.integrations.support import environment, until

ANSWERS = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}", "\\boxed{4}"]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:websockets[.].*")


async def test_solve_gives_a_typed_result_and_grows_in_progress() -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    with ProviderDouble(reply=cast(ANSWERS)) as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            result = await client.call_tool("solve", {"prompt": "What is 2+2?"}, progress_callback=hear)
    assert not result.is_error
    solved = result.structured_content
    assert solved["answer"] == "4"
    assert solved["text"] == "So it is \\boxed{4}."
    assert [r["reward"] for r in solved["rollouts"]] == [1.0, 0.0, 1.0, 1.0]
    assert solved["agreement"] == 0.75
    assert solved["usage"]["calls"] == len(double.requests) == 2
    assert solved["usage"]["usd"] is None, "an unknown price is not zero"
    amounts = [progress for progress, _, _ in heard]
    assert amounts == sorted(set(amounts)), "progress grows with every notification"
    assert all(total is not None and progress < total for progress, total, _ in heard)
    assert len([m for _, _, m in heard if m and m.startswith("attempt")]) == 4


async def test_a_call_chooses_its_group_and_asks_for_rewards_of_an_open_task() -> None:
    with ProviderDouble(reply=cast(["Sleep early.", "Keep it dark."], "# UNIFIED RESPONSE\nBoth.")) as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            result = await client.call_tool(
                "solve", {"prompt": "How do I sleep better?", "n": 2, "kind": "open", "rewards": True}
            )
    solved = result.structured_content
    assert [r["reward"] for r in solved["rollouts"]] == [1.0, 1.0]
    assert "Names a dark room." in solved["rubric"]


async def test_score_keeps_the_order_and_the_unknown() -> None:
    with ProviderDouble(reply=cast(ANSWERS)) as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            result = await client.call_tool(
                "score", {"prompt": "What is 2+2?", "completions": ["\\boxed{4}", None, "\\boxed{5}"]}
            )
            given = await client.call_tool(
                "score",
                {
                    "prompt": "What is 2+2?",
                    "completions": ["\\boxed{4}", "\\boxed{5}"],
                    "reference": "\\boxed{5}",
                },
            )
    scores = result.structured_content
    assert [r["reward"] for r in scores["rewards"]] == [1.0, None, 0.0]
    assert scores["rewards"][1]["reason"] == "the completion is missing"
    assert [r["reward"] for r in given.structured_content["rewards"]] == [0.0, 1.0]
    assert given.structured_content["usage"]["calls"] == 0


async def test_compare_answers_asks_no_model() -> None:
    with ProviderDouble() as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            same = await client.call_tool(
                "compare_answers", {"a": "0.5", "b": "It is \\boxed{\\frac{1}{2}}."}
            )
            other = await client.call_tool("compare_answers", {"a": "0.5", "b": "\\boxed{2}"})
        assert double.received == 0
    assert same.structured_content == {"equivalent": True, "a": "0.5", "b": "\\frac{1}{2}"}
    assert other.structured_content["equivalent"] is False


async def test_what_fails_is_said_to_the_assistant() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "Incorrect API key provided.")) as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            refused = await client.call_tool("solve", {"prompt": "What is 2+2?"})
            wrong = await client.call_tool("solve", {"prompt": "What is 2+2?", "n": 0})
            empty = await client.call_tool("score", {"prompt": "x", "completions": [None]})
    assert refused.is_error
    assert "Incorrect API key" in refused.content[0].text
    assert wrong.is_error
    assert "greater than or equal to 1" in wrong.content[0].text
    assert empty.is_error
    assert "there is no completion to score" in empty.content[0].text


async def test_a_client_that_gives_up_cancels_the_work_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat, Client(server_for(cat)) as client:
            call = asyncio.ensure_future(client.call_tool("solve", {"prompt": "What is 2+2?"}))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected and not double.in_flight)
            assert (await client.call_tool("compare_answers", {"a": "1", "b": "1"})).structured_content[
                "equivalent"
            ]


async def test_over_stdio_as_an_assistant_starts_it(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(ANSWERS)) as double:
        parameters = StdioServerParameters(
            command=sys.executable,
            args=["-m", "catagent", "mcp", "--model", "openai/m", "--n", "3"],
            env=environment(double),
            cwd=tmp_path,
        )
        async with Client(parameters) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "solve",
                "score",
                "compare_answers",
            }
            result = await client.call_tool("solve", {"prompt": "What is 2+2?"})
    assert result.structured_content["answer"] == "4"


@contextmanager
def serving(
    double: ProviderDouble, *arguments: str, **env: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    line = [
        sys.executable,
        "-m",
        "catagent",
        "mcp",
        "--model",
        "openai/m",
        "--http",
        "--port",
        "0",
        *arguments,
    ]
    process = subprocess.Popen(line, env=environment(double, **env), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("MCP at http://127.0.0.1:"), first
        yield first.split()[-1], process
    finally:
        process.terminate()
        process.communicate(timeout=20)


async def test_over_http_with_a_key() -> None:
    with (
        ProviderDouble(reply=cast(ANSWERS)) as double,
        serving(double, CATAGENT_KEYS="k1, k2") as (url, process),
    ):
        async with httpx.AsyncClient() as bare:
            for given in ({}, {"Authorization": "Bearer k3"}, {"Authorization": "Basic k2"}):
                refused = await bare.post(url, json={}, headers=given)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"] == "Bearer"
        async with (
            httpx2.AsyncClient(headers={"Authorization": "Bearer k2"}, timeout=30) as own,
            Client(streamable_http_client(url, http_client=own)) as client,
        ):
            result = await client.call_tool("solve", {"prompt": "What is 2+2?", "n": 3})
            assert result.structured_content["answer"] == "4"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) in (0, 130)


async def test_a_disconnect_over_http_cancels_the_work_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double, serving(double) as (url, _):
        async with Client(url) as client:
            call = asyncio.ensure_future(client.call_tool("solve", {"prompt": "What is 2+2?"}))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected and not double.in_flight)


def test_other_machines_need_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*arguments: str) -> str:
        done = CliRunner().invoke(app, ["mcp", "--http", "--port", "0", *arguments])
        assert done.exit_code == 1
        return capsys.readouterr().err + done.stderr

    (tmp_path / "keys").write_text("# none yet\n\n")
    assert "name the keys" in refused("--host", "0.0.0.0")
    assert "there is no key in" in refused("--keys", str(tmp_path / "keys"))
    assert "cannot read the keys" in refused("--keys", str(tmp_path / "missing"))


def test_stdio_ends_with_its_input_and_with_a_signal() -> None:
    line = [sys.executable, "-m", "catagent", "mcp", "--model", "openai/m"]
    with ProviderDouble() as double:
        for end in ("input", signal.SIGINT):
            with subprocess.Popen(
                line, env=environment(double), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write('{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
                process.stdin.flush()
                assert '"id":1' in process.stdout.readline()
                if end == "input":
                    process.stdin.close()
                else:
                    process.send_signal(end)
                process.wait(timeout=20)
