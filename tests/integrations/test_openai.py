"""OpenAI's own clients with CaT in the process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("openai", "agents")

import openai  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from catagent.integrations.openai import async_client, client  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

ASKED: Any = [{"role": "user", "content": "What is 2+2?"}]
BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


async def test_whole_and_streamed() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat, async_client(cat) as asking:
            whole = await asking.chat.completions.create(
                model="cat/double/other", messages=ASKED, temperature=0.5, extra_body={"catagent": {"n": 3}}
            )
            stream = await asking.chat.completions.create(
                model="cat", messages=ASKED, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            assert [m.id async for m in asking.models.list()] == ["cat"]
        assert double.requests[0].body["n"] == 3
        assert double.requests[0].body["model"] == "other"
        assert double.requests[0].body["temperature"] == 0.5
    assert whole.choices[0].message.content == "So it is \\boxed{4}."
    assert whole.model_extra is not None
    assert whole.model_extra["catagent"]["answer"] == "4"
    said = [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content]
    assert "".join(said) == "So it is \\boxed{4}."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens > 0


def test_sync() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double, client(cat_on(double)) as asking:
        whole = asking.chat.completions.create(model="cat", messages=ASKED)
        with asking.chat.completions.create(model="cat", messages=ASKED, stream=True) as stream:
            said = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert whole.choices[0].message.content == said == "So it is \\boxed{4}."


async def test_tools_and_parsed_answers() -> None:
    class Sum(BaseModel):
        total: int

    call = Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])
    with ProviderDouble(reply=lambda body, index: call if "tools" in body else '{"total": 4}') as double:
        async with cat_on(double) as cat, async_client(cat) as asking:
            called = await asking.chat.completions.create(model="cat", messages=ASKED, tools=[TOOL])
            parsed = await asking.chat.completions.parse(model="cat", messages=ASKED, response_format=Sum)
    assert called.choices[0].message.tool_calls is not None
    assert called.choices[0].message.tool_calls[0].function.arguments == '{"city": "Lima"}'  # type: ignore[union-attr]
    assert parsed.choices[0].message.parsed == Sum(total=4)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (403, openai.PermissionDeniedError),
        (404, openai.NotFoundError),
    ],
)
async def test_errors_are_the_librarys_own(status: int, kind: type[Exception]) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat, async_client(cat) as asking:
            with pytest.raises(kind, match="said so"):
                await asking.chat.completions.create(model="cat", messages=ASKED)
            with pytest.raises(openai.APIError, match="said so"):
                async for _ in await asking.chat.completions.create(model="cat", messages=ASKED, stream=True):
                    pass
            with pytest.raises(openai.NotFoundError, match="no model 'cat/nobody'"):
                await asking.chat.completions.create(model="cat/nobody", messages=ASKED, stream=True)
            with pytest.raises(openai.NotFoundError, match="there are chat completions"):
                await asking.embeddings.create(model="cat", input="x")


async def test_cancelling_and_leaving_a_stream_reach_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat, async_client(cat) as asking:
            call = asyncio.ensure_future(asking.chat.completions.create(model="cat", messages=ASKED))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
    slow = cast(BOXED, "# UNIFIED RESPONSE\n" + "word " * 2000)
    with ProviderDouble(reply=slow, pace=0.01) as double:
        async with cat_on(double) as cat, async_client(cat) as asking:
            stream = await asking.chat.completions.create(model="cat", messages=ASKED, stream=True)
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            await stream.close()
            await until(lambda: double.disconnected and not double.in_flight)
