"""`CatLLM` in LlamaIndex."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("llama_index", "agents")

from llama_index.core.agent.workflow import FunctionAgent  # noqa: E402
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock  # noqa: E402
from llama_index.core.tools import FunctionTool  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from catagent.completions import ApiError  # noqa: E402
from catagent.integrations.llama_index import CatLLM  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

# LlamaIndex's own.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
ASKED = [ChatMessage(role="system", content="Add."), ChatMessage(role="user", content="What is 2+2?")]
REFERENCE = "So it is \\boxed{4}."


class Sum(BaseModel):
    """A sum."""

    total: int


def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


async def test_chat_and_completion_async_and_sync() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            llm = CatLLM("cat/double/other", cat=cat, rollouts=3, params={"temperature": 0.5})
            chat = await llm.achat(ASKED, top_k=7)
            assert (await llm.acomplete("What is 2+2?")).text == REFERENCE
            assert (await asyncio.to_thread(llm.chat, ASKED)).message.content == REFERENCE
            assert (await asyncio.to_thread(llm.complete, "What is 2+2?")).text == REFERENCE
        body = double.requests[0].body
    assert chat.message.content == REFERENCE
    assert chat.raw["catagent"]["answer"] == "4"
    assert (body["n"], body["model"], body["temperature"], body["top_k"]) == (3, "other", 0.5, 7)
    assert [m["role"] for m in body["messages"]][:2] == ["system", "user"]


async def test_streams() -> None:
    with ProviderDouble(reply=cast(BOXED), pace=0.02) as double:
        async with cat_on(double) as cat:
            llm = CatLLM(cat=cat)
            chat = [piece async for piece in await llm.astream_chat(ASKED)]
            text = [piece async for piece in await llm.astream_complete("2+2?")]
            sync = await asyncio.to_thread(lambda: list(llm.stream_chat(ASKED)))
            plain = await asyncio.to_thread(lambda: list(llm.stream_complete("2+2?")))
    for pieces in (chat, sync):
        assert "".join(p.delta for p in pieces) == pieces[-1].message.content == REFERENCE
        assert len(pieces) > 2
    for pieces in (text, plain):
        assert "".join(p.delta for p in pieces) == pieces[-1].text == REFERENCE


async def test_tools_run_in_an_agent() -> None:
    def reply(body: dict[str, Any], index: int) -> Any:
        if body["messages"][-1]["role"] == "tool":
            return f"There is {body['messages'][-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        async with cat_on(double) as cat:
            agent = FunctionAgent(tools=[weather], llm=CatLLM(cat=cat), streaming=False)
            answer = await agent.run("Weather in Lima?")
            called = await CatLLM(cat=cat).achat_with_tools([FunctionTool.from_defaults(weather)], "Weather?")
        first, second = double.requests[0].body, double.requests[1].body
    assert str(answer) == "There is rain in Lima."
    assert first["tools"][0]["function"]["name"] == "weather"
    assert second["messages"][-1]["tool_call_id"] == second["messages"][-2]["tool_calls"][0]["id"]
    (selected,) = CatLLM(cat=cat).get_tool_calls_from_response(called)
    assert selected.tool_kwargs == {"city": "Lima"}


async def test_structured_predictions_and_images() -> None:
    call = Reply(tool_calls=[ToolCall("Sum", {"total": 4})])
    with ProviderDouble(reply=lambda body, index: call if "tools" in body else "a cat") as double:
        async with cat_on(double) as cat:
            llm = CatLLM(cat=cat)
            assert (await llm.as_structured_llm(Sum).achat(ASKED)).raw == Sum(total=4)
            picture = ImageBlock(url="https://example.org/cat.png")
            await llm.achat([ChatMessage(role="user", blocks=[TextBlock(text="What is it?"), picture])])
        parts = double.requests[1].body["messages"][-1]["content"]
    assert parts[1] == {"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}


async def test_errors_say_status_and_sentence() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(404, "said so")) as double:
        async with cat_on(double) as cat:
            with pytest.raises(ApiError, match="said so") as refused:
                await CatLLM(cat=cat).achat(ASKED)
            with pytest.raises(ApiError, match="said so"):
                async for _ in await CatLLM(cat=cat).astream_chat(ASKED):
                    pass
    assert refused.value.status == 404


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(CatLLM(cat=cat).achat(ASKED))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
