"""The Responses API with OpenAI's own Python client."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from openai.types.responses import (
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseTextDeltaEvent,
)

from catagent.completions import ApiError
from catagent.server.responses import chat_body, responses_request
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall
from tests.server.running import FOURS, running
from tests.server.test_chat import client


async def test_text_in_text_out() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        made = await ai.responses.create(
            model="cat", input="What is 2 + 2?", instructions="Be brief.", max_output_tokens=99
        )
        sent = double.requests[0].body
    assert made.output_text == "So it is \\boxed{4}."
    assert made.status == "completed"
    assert made.usage
    assert made.usage.total_tokens > 0
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert sent["max_completion_tokens"] == 99


async def test_a_stream_with_the_clients_helper() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), pace=0.002) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
        ai.responses.stream(model="cat", input="2 + 2?") as stream,
    ):
        events = [event async for event in stream]
        final = await stream.get_final_response()
    assert [e.sequence_number for e in events] == list(range(len(events)))
    assert isinstance(events[-1], ResponseCompletedEvent)
    pieces = [e.delta for e in events if isinstance(e, ResponseTextDeltaEvent)]
    assert "".join(pieces) == final.output_text == "So it is \\boxed{4}."


@pytest.mark.parametrize("stream", [False, True])
async def test_function_calls_and_their_results(stream: bool) -> None:
    reply = Reply(None, tool_calls=[ToolCall("weather", {"city": "Lima"})])
    tools: Any = [{"type": "function", "name": "weather", "parameters": {}, "strict": False}]
    talk: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Lima?"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "fog"},
    ]
    async with (
        ProviderDouble(reply=lambda _: reply) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        if stream:
            async with ai.responses.stream(model="cat", input=talk, tools=tools) as events:
                made: Any = await events.get_final_response()
        else:
            made = await ai.responses.create(model="cat", input=talk, tools=tools)
        (record,) = double.requests
    assert record.body["messages"] == [
        {"role": "user", "content": "Lima?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "fog"},
    ]
    (call,) = made.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, call.arguments) == ("weather", '{"city": "Lima"}')


async def test_json_with_the_clients_parser() -> None:
    from pydantic import BaseModel

    class Place(BaseModel):
        city: str

    async with (
        ProviderDouble(reply=lambda _: '{"city": "Lima"}') as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        made = await ai.responses.parse(model="cat", input="Lima?", text_format=Place)
        sent = double.requests[0].body["response_format"]
    assert made.output_parsed == Place(city="Lima")
    assert sent["type"] == "json_schema"


async def test_errors() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), faults=lambda _: Fault.status_code(400)) as double,
        cat_on(double, provider={"attempts": 1}) as cat,
        running(cat, heartbeat=0.01) as server,
        client(server) as ai,
    ):
        with pytest.raises(openai.BadRequestError, match="keeps nothing"):
            await ai.responses.create(model="cat", input="x", previous_response_id="resp_1")
        with pytest.raises(openai.NotFoundError):
            await ai.responses.create(model="dog", input="x")
        double.latency = 0.2  # the stream has begun when it fails
        double.faults = lambda _: Fault.cut_in_body()
        events = [event async for event in await ai.responses.create(model="cat", input="x", stream=True)]
        assert events[-1].type == "response.failed"
        assert "rollouts survived" in str(events[-1])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": []},
        {"input": [{"type": "computer_call"}]},
        {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
        {"input": "x", "tools": [{"type": "web_search"}]},
        {"input": "x", "conversation": "conv_1"},
        {"input": "x", "background": True},
        {"input": "x", "max_output_tokens": "9"},
    ],
)
def test_what_cannot_be_asked(body: Any) -> None:
    with pytest.raises(ApiError) as refused:
        chat_body(responses_request(body))
    assert refused.value.status == 400


def test_images_and_parameters_are_kept() -> None:
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    made = chat_body(
        responses_request(
            {
                "model": "cat/openai/x",
                "input": [{"role": "user", "content": [{"type": "input_text", "text": "What?"}, image]}],
                "temperature": 0.2,
                "reasoning": {"effort": "low"},
                "text": {"verbosity": "low"},
                "store": True,
                "new_thing": 1,
            }
        )
    )
    assert made == {
        "model": "cat/openai/x",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What?"},
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
                    },
                ],
            }
        ],
        "temperature": 0.2,
        "reasoning_effort": "low",
        "verbosity": "low",
        "new_thing": 1,
    }
