from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.errors import (
    AccountError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.client import Completion, Delta, ModelRequest, TokenLogprob
from catagent.models.wire import StreamAssembler, encode, parse
from tests.doubles import Reply, ToolCall
from tests.doubles.protocol import chunks, completion

ASK = [{"role": "user", "content": "What is 6 times 7?"}]
BODY = {"model": "m", "messages": ASK, "logprobs": True, "top_logprobs": 2}

whole_numbers = st.integers(-(2**53), 2**53)
json_values = st.recursive(
    st.none() | st.booleans() | whole_numbers | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def shaped(**keys: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects with the protocol's keys and whatever in them, some missing."""
    return json_values | st.fixed_dictionaries({}, optional={k: v | json_values for k, v in keys.items()})


tool_calls = st.lists(
    shaped(index=whole_numbers, id=st.text(), function=shaped(name=st.text(), arguments=st.text()))
)
tokens = st.lists(shaped(token=st.text(), logprob=st.floats(allow_nan=False), top_logprobs=json_values))
said = shaped(content=st.text(), tool_calls=tool_calls, reasoning_content=st.text(), reasoning=st.text())
one_choice = shaped(
    index=whole_numbers, message=said, delta=said, finish_reason=st.text(), logprobs=shaped(content=tokens)
)
usage = shaped(prompt_tokens=whole_numbers, completion_tokens=whole_numbers, cost=st.floats(allow_nan=False))
error = shaped(message=st.text(), code=st.integers(390, 610) | st.text())
replies = shaped(choices=st.lists(one_choice), usage=usage, error=error)


def of(*said: str | Reply, **usage: Any) -> dict[str, Any]:
    made = [one if isinstance(one, Reply) else Reply(one) for one in said]
    return {**completion(BODY, made, ident="chatcmpl-00000001", created=0), **usage}


def streamed(whole: dict[str, Any], on_delta: Any = lambda _: None) -> Completion:
    assembler = StreamAssembler(on_delta)
    for part in chunks(whole, include_usage=True):
        assembler.feed(b"data: " + orjson.dumps(part))
        assembler.feed(b"")
    assembler.feed(b"data: [DONE]")
    return assembler.completion()


def sound(result: Completion) -> None:
    """What a completion holds has the types it says: whoever uses it need not check again."""
    for count in (result.prompt_tokens, result.completion_tokens):
        assert count is None or (type(count) is int and count >= 0)
    assert result.usd is None or (type(result.usd) is float and result.usd >= 0)
    assert result.choices
    for choice in result.choices:
        for text in (choice.text, choice.finish_reason, choice.reasoning):
            assert text is None or (isinstance(text, str) and text)
        assert all(isinstance(call, dict) for call in choice.tool_calls)
        assert all(isinstance(t.token, str) and type(t.logprob) is float for t in choice.logprobs or ())


# Requests.


def test_a_request_forwards_what_it_is_given() -> None:
    params = {"temperature": 0.7, "min_p": 0.1, "tools": [{"type": "function"}], "stop": None}
    body = orjson.loads(encode(ModelRequest("m", ASK, 1, params)))
    assert body == {"model": "m", "messages": ASK, **params}


def test_samples_and_streaming_are_not_parameters() -> None:
    params = {"n": 5, "stream": True, "model": "other", "messages": []}
    assert orjson.loads(encode(ModelRequest("m", ASK, 1, params))) == {"model": "m", "messages": ASK}
    body = orjson.loads(encode(ModelRequest("m", ASK, 3, params), stream=True))
    assert (body["n"], body["stream"], body["model"]) == (3, True, "m")
    assert body["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("messages", "params"), [([{"role": "user", "content": "\ud800"}], {}), (ASK, {"seed": 2**64})]
)
def test_what_json_cannot_hold_is_refused_in_a_sentence(messages: Any, params: Any) -> None:
    with pytest.raises(RequestError, match="cannot be written as JSON"):
        encode(ModelRequest("m", messages, 1, params))


# Replies.


def test_a_reply_is_read_whole() -> None:
    reply = Reply("6 times 7 is 42", reasoning="think", logprobs=[-0.5, -0.25], prompt_tokens=11)
    result = parse(orjson.dumps(of(reply, "other")))
    first, second = result.choices
    assert (first.text, first.finish_reason, first.reasoning) == ("6 times 7 is 42", "stop", "think")
    assert first.logprobs is not None
    assert first.logprobs[0] == TokenLogprob("6", -0.5, (("6", -0.5), (" other1", -1.5)))
    assert second.text == "other"
    assert (result.prompt_tokens, result.completion_tokens) == (11, 7)


def test_content_in_parts_is_joined_without_the_thinking() -> None:
    parts = [{"type": "thinking", "thinking": [{"text": "hm"}]}, {"type": "text", "text": "4"}, {"text": "2"}]
    raw = orjson.dumps({"choices": [{"message": {"content": parts}}]})
    assert parse(raw).choices[0].text == "42"


@pytest.mark.parametrize("content", [None, ""])
def test_no_text_is_none(content: str | None) -> None:
    raw = orjson.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]})
    assert parse(raw).choices[0].text is None


@pytest.mark.parametrize(
    "told", [None, {}, [], {"prompt_tokens": "7", "completion_tokens": -1}, {"cost": True}]
)
def test_usage_that_is_not_told_is_unknown_and_not_zero(told: Any) -> None:
    raw = orjson.dumps({"choices": [{"message": {"content": "x"}}], "usage": told})
    result = parse(raw)
    assert (result.prompt_tokens, result.completion_tokens, result.usd) == (None, None, None)


def test_a_count_of_one_choice_is_corrected_by_the_tokens_listed() -> None:
    whole = of("a b c", "d e f g")
    whole["usage"]["completion_tokens"] = 3
    assert parse(orjson.dumps(whole)).completion_tokens == 7


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b"null",
        b'{"choices":{}}',
        b'{"choices":[]}',
        b'{"choices":[{}]}',
        b'{"choices":[null]}',
        b'{"choices":[{"message":{"content":5}}]}',
        b'{"choices":[{"message":{"content":"x"},"finish_reason":1}]}',
        b'{"choices":[{"message":{"tool_calls":["f"]}}]}',
    ],
)
def test_what_is_no_completion_is_garbled(raw: bytes) -> None:
    with pytest.raises(GarbledError):
        parse(raw)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"message": "upstream", "code": 502}, ServerError),
        ({"message": "slow down", "code": 429}, RateLimitError),
        ({"message": "no credit", "code": 402}, AccountError),
        ({"message": "maximum context length is 4096 tokens", "code": 400}, ContextOverflowError),
        ({"message": "odd", "code": "weird"}, ServerError),
        ("just a string", ServerError),
        ([["nested"]], ServerError),
    ],
)
def test_an_error_inside_a_good_status_is_an_error(said: Any, expected: type[ModelError]) -> None:
    for raise_it in (
        lambda: parse(orjson.dumps({"error": said})),
        lambda: StreamAssembler(print).feed(b"data: " + orjson.dumps({"error": said})),
    ):
        with pytest.raises(expected):
            raise_it()


@given(st.binary() | replies.map(orjson.dumps))
def test_nothing_a_server_sends_breaks_the_reader(raw: bytes) -> None:
    try:
        result = parse(raw)
    except ModelError:
        return
    sound(result)


def test_deep_nesting_does_not_break_the_reader() -> None:
    for raw in (
        b"[" * 100_000,
        b'{"error":' * 900 + b"1" + b"}" * 900,
        b'{"error":' + b"[" * 900 + b"]" * 900 + b"}",
    ):
        with pytest.raises(ModelError):
            parse(raw)


# Streams.


@pytest.mark.parametrize(
    "whole",
    [
        of("6 times 7 is 42"),
        of("a b c", "d e", "f"),
        of(Reply("hi", reasoning="well now")),
        of(Reply(None, tool_calls=[ToolCall("f", {"a": 1}), ToolCall("g", {})])),
        of(Reply("look", tool_calls=[ToolCall("f", {"a": 1})]), Reply(None)),
        of(Reply("cut", finish_reason="length")),
    ],
)
def test_a_stream_gives_what_the_whole_reply_gives(whole: dict[str, Any]) -> None:
    heard: list[Delta] = []
    assert streamed(whole, heard.append) == parse(orjson.dumps(whole))
    for index, choice in enumerate(whole["choices"]):
        text = "".join(delta.text for delta in heard if delta.index == index)
        assert text == (choice["message"]["content"] or "")


def test_a_stream_without_usage_does_not_invent_it() -> None:
    assembler = StreamAssembler(lambda _: None)
    for part in chunks(of("x"), include_usage=False):
        assembler.feed(b"data: " + orjson.dumps(part))
    result = assembler.completion()
    assert (result.prompt_tokens, result.completion_tokens) == (None, None)


def piece(call: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


def test_tool_calls_without_an_index_are_told_apart_by_id() -> None:
    assembler = StreamAssembler(lambda _: None)
    for call in (
        {"id": "a", "function": {"name": "f", "arguments": '{"x":'}},
        {"function": {"arguments": "1}"}},
        {"id": "b", "function": {"name": "g", "arguments": "{}"}},
    ):
        assembler.add(piece(call))
    assembler.feed(b"data: [DONE]")
    calls = assembler.completion().choices[0].tool_calls
    assert [(c["id"], c["function"]["name"], c["function"]["arguments"]) for c in calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", "{}"),
    ]


def test_tool_calls_whose_pieces_alternate_are_kept_apart() -> None:
    assembler = StreamAssembler(lambda _: None)
    for index, text in ((0, "ab"), (1, "xy"), (0, "cd"), (1, "z")):
        assembler.add(piece({"index": index, "function": {"arguments": text}}))
    assembler.feed(b"data: [DONE]")
    calls = assembler.completion().choices[0].tool_calls
    assert [c["function"]["arguments"] for c in calls] == ["abcd", "xyz"]


def test_comments_events_and_carriage_returns_are_no_data() -> None:
    assembler = StreamAssembler(lambda _: None)
    for line in (b": keepalive", b"event: message\r", b"", b"\r", b"id: 7", b"retry: 10"):
        assembler.feed(line)
    assembler.feed(b'data:{"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\r')
    assembler.feed(b"data: [DONE]\r")
    assert assembler.done
    assert assembler.completion().choices[0].text == "x"


def test_a_stream_that_ends_early_is_garbled() -> None:
    assembler = StreamAssembler(lambda _: None)
    with pytest.raises(GarbledError, match="no choices"):
        assembler.completion()
    assembler.add({"choices": [{"index": 0, "delta": {"content": "half"}}]})
    with pytest.raises(GarbledError, match="broke off"):
        assembler.completion()
    assembler.add({"choices": [{"index": 0, "finish_reason": "stop"}]})
    assert assembler.completion().choices[0].text == "half"


def test_what_a_listener_raises_is_not_taken_for_a_bad_stream() -> None:
    def listener(_: Delta) -> None:
        raise TypeError("the listener's own bug")

    with pytest.raises(TypeError, match="own bug"):
        StreamAssembler(listener).add({"choices": [{"delta": {"content": "x"}}]})


@given(st.lists(st.binary() | replies.map(lambda r: b"data: " + orjson.dumps(r)), max_size=6), st.booleans())
def test_no_stream_breaks_the_reader(lines: list[bytes], ended: bool) -> None:
    heard: list[Delta] = []
    assembler = StreamAssembler(heard.append)
    try:
        for line in [*lines, b"data: [DONE]"] if ended else lines:
            assembler.feed(line)
        result = assembler.completion()
    except ModelError:
        pass
    else:
        sound(result)
    assert all(isinstance(d.text, str) and d.text and d.index >= 0 for d in heard)
