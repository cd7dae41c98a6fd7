"""Requests with tools: passed through untouched, or voted on."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from catagent.completions import ApiError, ContentDelta, complete, stream
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall, prompt_of

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the weather in Lima?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Lima"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "fog"},
]


def calling(city: str, name: str = "weather") -> Reply:
    return Reply(None, tool_calls=[ToolCall(name, {"city": city})])


async def test_the_request_goes_through_as_it_came_and_the_reply_comes_back_as_it_is() -> None:
    reply = Reply(
        "Let me see.", tool_calls=[ToolCall("weather", {"city": "Lima"})], reasoning="hm", refusal="no"
    )
    async with ProviderDouble(reply=lambda _: reply) as double, cat_on(double) as cat:
        asked = {
            "messages": TALK,
            "tools": TOOLS,
            "tool_choice": "auto",
            "temperature": 0.1,
            "logprobs": True,
        }
        made = await complete(asked, cat)
        (record,) = double.requests
    assert record.body == {**asked, "model": "m"}
    (choice,) = made["choices"]
    assert choice["finish_reason"] == "tool_calls"
    message = choice["message"]
    assert (message["content"], message["reasoning_content"], message["refusal"]) == (
        "Let me see.",
        "hm",
        "no",
    )
    assert message["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "Lima"}'}
    assert choice["logprobs"]["content"][0]["token"] == "Let"
    assert made["catagent"]["method"] == "passed"
    assert made["usage"]["total_tokens"] > 0


async def test_choices_of_a_request_that_passes_are_the_models() -> None:
    async with ProviderDouble(reply=lambda _, i: calling(f"city {i}")) as double, cat_on(double) as cat:
        made = await complete({"messages": TALK, "tools": TOOLS, "n": 3}, cat)
        assert double.requests[0].body["n"] == 3
    assert [c["index"] for c in made["choices"]] == [0, 1, 2]
    assert '"city 2"' in made["choices"][2]["message"]["tool_calls"][0]["function"]["arguments"]


async def test_a_stream_that_passes_comes_piece_by_piece() -> None:
    reply = Reply("One two.", tool_calls=[ToolCall("weather", {"city": "Lima"})], reasoning="hm hm")
    async with ProviderDouble(reply=lambda _: reply, pace=0.002) as double, cat_on(double) as cat:
        async with aclosing(stream({"messages": TALK, "tools": TOOLS}, cat)) as items:
            deltas = [item async for item in items if isinstance(item, ContentDelta)]
        assert double.requests[0].body["stream"] is True
    assert "".join(d.text for d in deltas) == "One two."
    assert "".join(d.reasoning or "" for d in deltas) == "hm hm"
    calls = [call for d in deltas for call in d.tool_calls]
    assert len(calls) > 1
    assert "".join(c["function"].get("arguments", "") for c in calls) == '{"city": "Lima"}'
    assert {c["index"] for c in calls} == {0}


async def test_a_stream_that_passes_and_breaks_is_said_to_be_broken() -> None:
    reply = Reply("One two three four five six seven eight.")
    broken = iter([Fault.cut_in_body()])
    async with (
        ProviderDouble(reply=lambda _: reply, faults=lambda _: next(broken, None), pace=0.02) as double,
        cat_on(double) as cat,
    ):
        items = stream({"messages": TALK, "tools": TOOLS}, cat)
        assert await anext(items)
        with pytest.raises(ApiError) as failed:
            [item async for item in items]
    assert (failed.value.status, failed.value.code) == (502, "stream_broken")


@pytest.mark.parametrize(
    ("replies", "winner", "fallback"),
    [
        ([calling("Lima"), calling("Cusco"), calling("Lima"), Reply("It rains.")], "Lima", False),
        # no set of calls has more votes than others: two agree on the tool
        ([calling("Lima"), calling("Cusco"), calling("x", "time"), Reply("It rains.")], "Lima", True),
    ],
)
async def test_a_vote_on_calls(replies: list[Reply], winner: str, fallback: bool) -> None:
    async with ProviderDouble(reply=lambda _, i: replies[i]) as double, cat_on(double) as cat:
        asked: dict[str, Any] = {"messages": TALK, "tools": TOOLS, "catagent": {"tools": "vote"}}
        made = await complete(asked, cat)
        async with aclosing(stream(asked, cat)) as items:
            deltas = [item async for item in items if isinstance(item, ContentDelta)]
        assert double.requests[0].body["messages"] == TALK
    (choice,) = made["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert winner in choice["message"]["tool_calls"][0]["function"]["arguments"]
    assert made["catagent"]["method"] == "tool_vote"
    assert bool(made["catagent"]["fallback"]) is fallback
    assert winner in deltas[0].tool_calls[0]["function"]["arguments"]


async def test_arguments_are_compared_as_json() -> None:
    texts = ['{"a":1,"b":2}', '{ "b": 2, "a": 1 }', '{"a": 9}', '{"a": 8}']

    def spoilt(whole: dict[str, Any]) -> dict[str, Any]:
        for choice, text in zip(whole["choices"], texts, strict=True):
            choice["message"]["tool_calls"][0]["function"]["arguments"] = text
        return whole

    async with (
        ProviderDouble(reply=lambda _: calling("x"), faults=lambda _: Fault("raw", spoil=spoilt)) as double,
        cat_on(double) as cat,
    ):
        made = await complete({"messages": TALK, "tools": TOOLS, "catagent": {"tools": "vote"}}, cat)
    assert made["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == texts[0]


async def test_when_most_only_wrote_the_reference_is_their_synthesis() -> None:
    def reply(asked: dict[str, Any], index: int) -> Reply:
        if SYNTHESIS in prompt_of(asked):
            assert "weather" not in prompt_of(asked)
            return Reply("# UNIFIED RESPONSE\nFog in Lima.")
        return calling("Lima") if index == 0 else Reply(f"Fog {index}.")

    async with ProviderDouble(reply=reply) as double, cat_on(double) as cat:
        made = await complete({"messages": TALK, "tools": TOOLS, "catagent": {"tools": "vote"}}, cat)
        assert not double.crashes
    (choice,) = made["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Fog in Lima.", "stop")
