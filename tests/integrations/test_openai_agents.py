"""`CatModel` in OpenAI's Agents SDK."""

from __future__ import annotations

import asyncio

import pytest

from tests.integrations.support import needs, until

needs("agents", "agents")

import openai  # noqa: E402
from agents import Agent, ModelSettings, MultiProvider, RunConfig, Runner, function_tool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from catagent.integrations.openai_agents import CatModel, provider_map  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
QUIET = RunConfig(tracing_disabled=True)


class Sum(BaseModel):
    total: int


async def test_a_run_answers_with_the_reference() -> None:
    settings = ModelSettings(temperature=0.5, extra_body={"catagent": {"n": 3}})
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            agent = Agent(name="solver", model=CatModel("cat/double/other", cat=cat), model_settings=settings)
            result = await Runner.run(agent, "What is 2+2?", run_config=QUIET)
        body = double.requests[0].body
    assert result.final_output == "So it is \\boxed{4}."
    assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
    assert result.context_wrapper.usage.total_tokens > 0


def test_sync() -> None:
    loop = asyncio.new_event_loop()  # `run_sync` would make one and leave it open
    asyncio.set_event_loop(loop)
    try:
        with ProviderDouble(reply=cast(BOXED)) as double:
            agent = Agent(name="solver", model=CatModel(cat=cat_on(double)))
            done = Runner.run_sync(agent, "What is 2+2?", run_config=QUIET)
            loop.run_until_complete(loop.shutdown_asyncgens())
        assert done.final_output == "So it is \\boxed{4}."
    finally:
        asyncio.set_event_loop(None)
        loop.close()


async def test_names_under_cat_and_a_stream() -> None:
    with ProviderDouble(reply=cast(BOXED), pace=0.02) as double:
        async with cat_on(double) as cat:
            own = RunConfig(
                tracing_disabled=True, model_provider=MultiProvider(provider_map=provider_map(cat))
            )
            agent = Agent(name="solver", model="cat/double/other")
            result = Runner.run_streamed(agent, "What is 2+2?", run_config=own)
            pieces = [
                event.data.delta
                async for event in result.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
            ]
        assert double.requests[0].body["model"] == "other"
    assert "".join(pieces) == result.final_output == "So it is \\boxed{4}."
    assert len(pieces) > 1


async def test_tools_and_typed_output() -> None:
    @function_tool
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    def reply(body: dict[str, object], index: int) -> object:
        messages = body["messages"]
        assert isinstance(messages, list)
        if "tools" not in body:
            return '{"total": 4}'
        if messages[-1]["role"] == "tool":
            return f"There is {messages[-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        async with cat_on(double) as cat:
            agent = Agent(name="a", model=CatModel(cat=cat), tools=[weather])
            result = await Runner.run(agent, "Weather in Lima?", run_config=QUIET)
            typed = Agent(name="b", model=CatModel(cat=cat), output_type=Sum)
            summed = await Runner.run(typed, "2+2?", run_config=QUIET)
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"
    assert result.final_output == "There is rain in Lima."
    assert summed.final_output == Sum(total=4)


@pytest.mark.parametrize(("status", "kind"), [(401, openai.AuthenticationError), (404, openai.NotFoundError)])
async def test_errors_are_those_the_sdk_raises(status: int, kind: type[Exception]) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat:
            agent = Agent(name="solver", model=CatModel(cat=cat))
            with pytest.raises(kind, match="said so"):
                await Runner.run(agent, "2+2?", run_config=QUIET)


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            agent = Agent(name="solver", model=CatModel(cat=cat))
            call = asyncio.ensure_future(Runner.run(agent, "2+2?", run_config=QUIET))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
