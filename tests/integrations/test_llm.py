"""CaT in simonw's `llm`: the library, and the command with the entry point."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.support import environment, needs, until

needs("llm", "agents")

import llm  # noqa: E402
import openai  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from catagent.integrations.llm import AsyncCatModel, CatModel  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]


class Sum(BaseModel):
    total: int


def test_a_prompt_its_options_and_its_usage() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        response = CatModel("cat", cat_on(double)).prompt(
            "What is 2+2?", system="Add.", sampler="double/other", rollouts=3, temperature=0.5
        )
        assert response.text() == "So it is \\boxed{4}."
        body = double.requests[0].body
    assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
    assert response.usage().input > 0


def test_a_stream_and_a_conversation() -> None:
    with ProviderDouble(reply=cast(BOXED), pace=0.02) as double:
        conversation = CatModel("cat", cat_on(double)).conversation()
        pieces = list(conversation.prompt("What is 2+2?"))
        assert "".join(pieces) == "So it is \\boxed{4}."
        assert len(pieces) > 1
        conversation.prompt("And 3+3?").text()
        roles = [m["role"] for m in double.requests[2].body["messages"]]
    assert roles == ["user", "assistant", "user"]


async def test_async() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            response = AsyncCatModel("cat", cat).prompt("What is 2+2?")
            assert "".join([piece async for piece in response]) == "So it is \\boxed{4}."


def test_tools_and_schemas() -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    def reply(body: dict[str, Any], index: int) -> Any:
        if "tools" not in body:
            return '{"total": 4}'
        if body["messages"][-1]["role"] == "tool":
            return f"There is {body['messages'][-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        model = CatModel("cat", cat_on(double))
        assert model.chain("Weather in Lima?", tools=[weather]).text() == "There is rain in Lima."
        assert json.loads(model.prompt("2+2?", schema=Sum).text()) == {"total": 4}
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"


def test_errors_are_those_of_the_protocols_models() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "said so")) as double:
        model = CatModel("cat", cat_on(double))
        with pytest.raises(openai.AuthenticationError, match="said so"):
            model.prompt("2+2?").text()


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(AsyncCatModel("cat", cat).prompt("2+2?").text())
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)


def test_the_command_finds_it_by_its_entry_point(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "llm",
                "-m",
                "cat",
                "-o",
                "sampler",
                "openai/m",
                "-o",
                "rollouts",
                "3",
                "2+2?",
            ],
            env=environment(double, LLM_USER_PATH=str(tmp_path)),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=100,
            check=False,
        )
    assert done.stdout.strip() == "So it is \\boxed{4}.", done.stderr
    assert llm.get_model("cat").model_id == "cat"
