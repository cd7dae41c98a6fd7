"""`CatModel` in pydantic-ai."""

from __future__ import annotations

import asyncio

import pytest

from tests.integrations.support import needs, until

needs("pydantic_ai", "agents")

from pydantic import BaseModel  # noqa: E402
from pydantic_ai import Agent, ModelHTTPError  # noqa: E402
from pydantic_ai.messages import ModelResponse  # noqa: E402

from catagent.integrations.pydantic_ai import CatModel  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]


class Sum(BaseModel):
    total: int


async def test_an_agent_answers_with_the_reference() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            model = CatModel("cat/double/other", cat=cat, catagent={"n": 3})
            result = await Agent(model, instructions="Add.").run(
                "What is 2+2?", model_settings={"temperature": 0.5}
            )
        body = double.requests[0].body
    assert result.output == "So it is \\boxed{4}."
    assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
    response = next(m for m in result.all_messages() if isinstance(m, ModelResponse))
    details = response.provider_details["catagent"]
    assert details["answer"] == "4"
    assert result.usage.input_tokens == sum(r["prompt_tokens"] for r in details["usage"]["roles"].values())
    assert model.system == "catagent"


def test_sync() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        agent = Agent(CatModel(cat=cat_on(double)))
        assert agent.run_sync("What is 2+2?").output == "So it is \\boxed{4}."


async def test_a_stream() -> None:
    with ProviderDouble(reply=cast(BOXED), pace=0.02) as double:
        async with cat_on(double) as cat, Agent(CatModel(cat=cat)).run_stream("What is 2+2?") as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
            assert result.usage.total_tokens > 0
    assert "".join(pieces) == "So it is \\boxed{4}."
    assert len(pieces) > 1


async def test_tools_run_in_the_agents_loop() -> None:
    def reply(body: dict[str, object], index: int) -> object:
        messages = body["messages"]
        assert isinstance(messages, list)
        if messages[-1]["role"] == "tool":
            return f"There is {messages[-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        async with cat_on(double) as cat:
            agent = Agent(CatModel(cat=cat))

            @agent.tool_plain
            def weather(city: str) -> str:
                return f"rain in {city}"

            result = await agent.run("Weather in Lima?")
        assert double.received == 2
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"
    assert result.output == "There is rain in Lima."


async def test_native_output_is_a_reference_that_follows_the_schema() -> None:
    from pydantic_ai import NativeOutput

    with ProviderDouble(reply=lambda body, index: '{"total": 4}') as double:
        async with cat_on(double) as cat:
            result = await Agent(CatModel(cat=cat), output_type=NativeOutput(Sum)).run("2+2?")
        assert double.received == 2, "rollouts and their synthesis"
    assert result.output == Sum(total=4)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_errors_are_pydantic_ais_own(status: int) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat:
            with pytest.raises(ModelHTTPError, match="said so") as failed:
                await Agent(CatModel(cat=cat)).run("2+2?")
        assert double.received == (2 if status == 400 else 1), "only `n` is tried without, nothing else again"
    assert failed.value.status_code == status


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(Agent(CatModel(cat=cat)).run("2+2?"))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
