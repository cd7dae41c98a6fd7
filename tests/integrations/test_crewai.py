"""`CatLLM` in CrewAI."""

from __future__ import annotations

import asyncio
import os
import warnings
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("crewai", "crewai")  # leaves here where it is absent, before the environment is changed for all
os.environ.setdefault("CREWAI_DISABLE_TELEMETRY", "true")
os.environ.setdefault("OTEL_SDK_DISABLED", "true")
os.environ.setdefault("CREWAI_TRACING_ENABLED", "false")

import openai  # noqa: E402
from pydantic import BaseModel  # noqa: E402

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CrewAI's imports warn of its own ways
    from crewai import Agent, Crew, Task
    from crewai.tools import tool

from catagent.integrations.crewai import CatLLM  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
REFERENCE = "So it is \\boxed{4}."
# CrewAI's own.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class Sum(BaseModel):
    total: int


@tool("weather")
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def test_sync_and_options() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        llm = CatLLM(model="cat/double/other", cat=cat_on(double), rollouts=3, temperature=0.5)
        assert llm.call("What is 2+2?") == REFERENCE
        body = double.requests[0].body
        assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
        assert llm.get_token_usage_summary().total_tokens > 0


async def test_async() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            assert await CatLLM(cat=cat).acall("What is 2+2?") == REFERENCE


def test_a_stream() -> None:
    with ProviderDouble(reply=cast(BOXED), pace=0.01) as double:
        assert CatLLM(cat=cat_on(double), stream=True).call("What is 2+2?") == REFERENCE
        assert double.requests[-1].body["stream"]


def test_typed_answers() -> None:
    with ProviderDouble(reply=lambda body, index: '{"total": 4}') as double:
        answer = CatLLM(cat=cat_on(double)).call("2+2?", response_model=Sum)
    assert Sum.model_validate_json(answer) if isinstance(answer, str) else answer == Sum(total=4)


def test_a_crew_with_a_tool() -> None:
    def reply(body: dict[str, Any], index: int) -> Any:
        if any(m["role"] == "tool" for m in body["messages"]):
            return f"There is {[m for m in body['messages'] if m['role'] == 'tool'][-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        agent = Agent(
            role="Forecaster", goal="Say the weather", backstory="Looks out.", llm=CatLLM(cat=cat_on(double)),
            tools=[weather],
        )  # fmt: skip
        task = Task(description="Weather in Lima?", expected_output="One sentence", agent=agent)
        result = Crew(agents=[agent], tasks=[task]).kickoff()
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"
    assert result.raw == "There is rain in Lima."


@pytest.mark.parametrize("status", [401, 404])
def test_errors_are_those_of_the_protocols_models(status: int) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        with pytest.raises((openai.APIStatusError, ValueError), match=r"said so|not found"):
            CatLLM(cat=cat_on(double)).call("2+2?")
        assert double.received == 1


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(CatLLM(cat=cat).acall("2+2?"))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
