"""`ChatCaT` in LangChain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("langchain_core", "agents")

from langchain_core import exceptions  # noqa: E402
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from catagent.integrations.langchain import ChatCaT  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
CALL = Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])


@tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


class Sum(BaseModel):
    """A sum."""

    total: int


async def test_async_sync_batch_and_metadata() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        model = ChatCaT(model="cat/double/m", n=3, params={"temperature": 0.5}, cat=cat_on(double))
        answer = await model.ainvoke("What is 2+2?", top_k=7)
        sync = await asyncio.to_thread(model.invoke, [("system", "Add."), ("human", "What is 2+2?")])
        batch = await model.abatch(["1+1?", "2+2?"])
        await model.cat.aclose()
        body = double.requests[0].body
    assert answer.content == sync.content == "So it is \\boxed{4}."
    assert len(batch) == 2
    assert (body["n"], body["temperature"], body["top_k"]) == (3, 0.5, 7)
    assert answer.response_metadata["catagent"]["answer"] == "4"
    roles = answer.response_metadata["catagent"]["usage"]["roles"].values()
    assert answer.usage_metadata["input_tokens"] == sum(r["prompt_tokens"] for r in roles)


async def test_streams() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        model = ChatCaT(cat=cat_on(double))
        chunks = [chunk async for chunk in model.astream("What is 2+2?")]
        sync = await asyncio.to_thread(lambda: list(model.stream("What is 2+2?")))
        chain = [piece async for piece in (model | (lambda m: m.content)).astream("What is 2+2?")]
        await model.cat.aclose()
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == "".join(c.content for c in sync) == "".join(chain) == "So it is \\boxed{4}."
    assert whole.usage_metadata["total_tokens"] > 0
    assert whole.response_metadata["finish_reason"] == "stop"


async def test_tools_are_forwarded_and_their_results_too() -> None:
    with ProviderDouble(reply=lambda body, index: CALL) as double:
        model = ChatCaT(cat=cat_on(double))
        bound = model.bind_tools([weather], tool_choice="any")
        called = await bound.ainvoke("Weather in Lima?")
        streamed = [chunk async for chunk in bound.astream("Weather in Lima?")]
        result = ToolMessage("rain", tool_call_id=called.tool_calls[0]["id"])
        await bound.ainvoke([HumanMessage("Weather in Lima?"), called, result])
        await model.cat.aclose()
        first, last = double.requests[0].body, double.requests[-1].body
        assert double.received == 3
    assert first["tools"][0]["function"]["name"] == "weather"
    assert first["tool_choice"] == "required"
    assert called.tool_calls[0]["args"] == {"city": "Lima"}
    whole = streamed[0]
    for chunk in streamed[1:]:
        whole += chunk
    assert whole.tool_calls[0]["args"] == {"city": "Lima"}
    assert [m["role"] for m in last["messages"]] == ["user", "assistant", "tool"]
    assert last["messages"][1]["tool_calls"][0]["function"]["name"] == "weather"
    assert last["messages"][2]["tool_call_id"] == called.tool_calls[0]["id"]


async def test_structured_output_follows_the_schema() -> None:
    with ProviderDouble(reply=lambda body, index: '{"total": 4}') as double:
        model = ChatCaT(cat=cat_on(double))
        assert await model.with_structured_output(Sum).ainvoke("2+2?") == Sum(total=4)
        raw = await model.with_structured_output(Sum.model_json_schema(), include_raw=True).ainvoke("2+2?")
        await model.cat.aclose()
        assert double.requests[0].body["response_format"]["type"] == "json_schema"
    assert raw["parsed"] == {"total": 4}
    assert isinstance(raw["raw"], AIMessage)
    assert raw["parsing_error"] is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, exceptions.ModelInvalidRequestError),
        (401, exceptions.ModelAuthenticationError),
        (403, exceptions.ModelPermissionDeniedError),
        (404, exceptions.ModelNotFoundError),
    ],
)
async def test_errors_are_langchains_own(status: int, kind: type[Exception]) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        model = ChatCaT(cat=cat_on(double))
        with pytest.raises(kind, match="said so"):
            await model.ainvoke("2+2?")
        with pytest.raises(kind, match="said so"):
            async for _ in model.astream("2+2?"):
                pass
        with pytest.raises(kind, match="said so"):
            await asyncio.to_thread(model.invoke, "2+2?")
        await model.cat.aclose()


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call: Any = asyncio.ensure_future(ChatCaT(cat=cat).ainvoke("2+2?"))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
